import type { Price } from "./types.js";

/**
 * Whether the balance pays for the order, or may: the price of what is not measured yet can be the
 * lowest.
 */
export function mayBePaid({ enough, unmeasured, balance, lowest }: Price): boolean {
  return enough === true || (unmeasured !== null && balance !== null && balance >= lowest);
}
