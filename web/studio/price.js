// The price of a form's order, asked for whenever its options change.

import { jobs } from "./jobs.js";

/** Tells inputs apart, also by their videos: these may cost by their length. */
const key = (input) =>
  JSON.stringify(input, (_, value) =>
    value instanceof Blob && value.type.startsWith("video/")
      ? [value.name, value.size, value.lastModified]
      : value,
  );

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
    if (key(input) === key(wanted)) return;
    const rest = wanted ? REST_MS : 0;
    wanted = input;
    refresh(rest);
  }

  return { ask, refresh: () => refresh() };
}
