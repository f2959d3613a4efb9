/** Whether the value is a list, or an object of no class. */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== "object") return false;
  const prototype = Object.getPrototypeOf(value);
  // Another frame has an `Object.prototype` of its own; nothing is behind it either.
  return Array.isArray(value) || !prototype || !Object.getPrototypeOf(prototype);
}

/**
 * Whether two inputs are the same: lists and plain objects by what they hold, dates by their time,
 * anything else, such as a file, by identity.
 */
export function isSame(one: unknown, other: unknown): boolean {
  if (one instanceof Date && other instanceof Date) return Object.is(+one, +other);
  if (!isPlain(one) || !isPlain(other)) return Object.is(one, other);
  const names = Object.keys(one);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSame(one[name], other[name]))
  );
}
