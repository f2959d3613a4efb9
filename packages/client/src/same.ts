const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === "object";

/** What two objects must share to be compared: they are lists, plain objects or of one class. */
function kindOf(value: object): unknown {
  if (Array.isArray(value)) return Array;
  const prototype = Object.getPrototypeOf(value);
  // Another frame has an `Object.prototype` of its own; nothing is behind it either.
  return prototype && Object.getPrototypeOf(prototype) ? prototype : Object;
}

/**
 * Whether two inputs are the same: files by identity, dates, URLs and the like by the text that is
 * sent of them, everything else by its fields. An object of a class without fields keeps its values
 * out of sight, so it is the same only by identity.
 */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (!isObject(one) || !isObject(other) || kindOf(one) !== kindOf(other)) return false;
  if (one instanceof Blob) return false;
  if ("toJSON" in one) return JSON.stringify(one) === JSON.stringify(other);
  const names = Object.keys(one);
  return (
    (names.length > 0 || kindOf(one) === Array || kindOf(one) === Object) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSame(one[name], other[name]))
  );
}
