/** Whether the value is an object or a list, and no file. */
export const isPlain = (value: unknown): value is object =>
  value !== null && typeof value === "object" && !(value instanceof Blob);

/** Whether two inputs are the same; files are compared by identity. */
export function isSame(a: any, b: any): boolean {
  if (!isPlain(a) || !isPlain(b)) return Object.is(a, b);
  const [one, other] = [a as Record<string, any>, b as Record<string, any>];
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  return names.every((name) => isSame(one[name], other[name]));
}
