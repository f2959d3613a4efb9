import type { Price } from "./types.js";

/**
 * Whether the balance pays for the order, or may do so: as long as files are not measured, the
 * price can turn out to be the lowest one.
 */
export function mayBePaid({ enough, unmeasured, balance, lowest }: Price): boolean {
  return enough === true || (unmeasured !== null && balance !== null && balance >= lowest);
}
