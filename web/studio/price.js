// The price of a form's order, which is asked for at each change of the options.

import { jobs } from "./jobs.js";

/** Tells inputs apart. Videos are part of the key, because their length may change the price. */
const key = (input) =>
  JSON.stringify(input, (_, value) =>
    value instanceof Blob && value.type.startsWith("video/")
      ? [value.name, value.size, value.lastModified]
      : value,
  );

/** The pause after the last change of an option before the price is asked for. */
const REST_MS = 200;
/** The shortest pause before a failed quote is retried. */
const PAUSE_MS = 5000;

/**
 * Makes the price of one tool's orders: `ask(input)`, `refresh` for the same input, and `stop`.
 * `onprice(price, { isAsking, error })` gets the answer for the newest input and never an older
 * one. If the quote fails, the price is null, `error` says why, and the quote is retried.
 */
export function createPrice(tool, onprice) {
  let asked = 0;
  let timer = null;
  let wanted = null;
  let [price, error] = [null, null];

  function refresh(rest = 0) {
    const mine = ++asked;
    onprice(price, { isAsking: true, error });
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const answer = await jobs.price(tool, wanted).then(
        (found) => [found, null],
        (refused) => [null, refused],
      );
      if (mine !== asked) return;
      [price, error] = answer;
      onprice(price, { isAsking: false, error });
      // The status 400 refuses the input itself, so only a change of the input helps.
      if (error && error.status !== 400) timer = setTimeout(refresh, pauseMs(error));
    }, rest);
  }

  function ask(input) {
    if (key(input) === key(wanted)) return;
    const rest = wanted ? REST_MS : 0;
    wanted = input;
    refresh(rest);
  }

  function stop() {
    asked += 1;
    clearTimeout(timer);
  }

  return { ask, refresh: () => refresh(), stop };
}

/** The pause that the answer asks for, but at least `PAUSE_MS`. */
const pauseMs = ({ details }) => Math.max(PAUSE_MS, (details?.retryAfter ?? 0) * 1000);
