// The price of a form's order, asked for whenever its options change.

import { jobs } from "./jobs.js";

/** How long the options must rest before the price is asked for. */
const REST_MS = 200;

/**
 * Makes the price of one tool's orders: `ask(input)`, and `refresh` for the same input.
 * `onprice(price, isAsking)` gets the newest answer, null where there is none, and never an older
 * one.
 */
export function createPrice(tool, onprice) {
  let asked = 0;
  let timer = null;
  let wanted = null;
  let price = null;

  function refresh(rest = 0) {
    const mine = ++asked;
    onprice(price, true);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const answer = await jobs.price(tool, wanted).catch(() => null);
      if (mine !== asked) return;
      price = answer;
      onprice(price, false);
    }, rest);
  }

  function ask(input) {
    if (JSON.stringify(input) === JSON.stringify(wanted)) return;
    const rest = wanted ? REST_MS : 0;
    wanted = input;
    refresh(rest);
  }

  return { ask, refresh: () => refresh() };
}
