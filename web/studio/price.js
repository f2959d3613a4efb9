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
/** The shortest pause before a quote that failed is asked for once more. */
const PAUSE_MS = 5000;

/**
 * Makes the price of one tool's orders: `ask(input)`, `refresh` for the same input, and `stop`.
 * `onprice(price, { isAsking, error })` gets the newest answer and never an older one. Without an
 * answer the price is null, the error says why, and the quote is retried until there is one.
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
      // An input that is refused itself is refused until it changes.
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

/** As long as the answer asks for, where it does. */
const pauseMs = ({ details }) => Math.max(PAUSE_MS, (details?.retryAfter ?? 0) * 1000);
