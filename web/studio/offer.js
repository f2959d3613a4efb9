// The end of a form: the button that orders and shows the price. If credits are missing, it offers
// to buy them instead; while no price is known, it is disabled.

import { mayBePaid } from "../client.js";
import { h, icon } from "../elements.js";
import { duration, explain, number, toolName } from "../format.js";
import { t } from "../words.js";
import { debtNotice } from "./wallet.js";

/** A wait of more seconds than these is mentioned. */
const LONG_WAIT = 5;

/** Makes the offer of a tool: its elements, and `show(price, state)`. */
export function createOffer(tool) {
  const debt = h("div", { class: "offer-debt" });
  const button = h("button", { class: "button primary wide", type: "submit" });
  const note = h("p", { class: "offer-note muted small", role: "status" });

  /**
   * `state` is { wallet, isAsking, error, isComplete, isOrdering, canBuy }; `error` is that of the
   * quote.
   */
  function show(price, { wallet, isAsking, error, isComplete, isOrdering, canBuy }) {
    const missing = missingCredits(price, wallet);
    const wanted = missing > 0 ? t(canBuy ? "get_more" : "needs_more", { n: missing }) : null;
    const isReady = missing > 0 ? canBuy : price && isComplete;
    button.disabled = isOrdering || !isReady;
    button.classList.toggle("asking", isAsking);
    button.dataset.price = price?.credits ?? "";
    const order = t.maybe(`do_${tool}`) ?? toolName(tool);
    button.replaceChildren(wanted ?? order, wanted || !price ? "" : cost(price));
    const said = error ? explain(error) : missing > 0 ? shortage(price) : wait(price);
    if (note.textContent !== said) note.textContent = said;
    debt.replaceChildren(debtNotice(wallet) || "");
  }

  return { elements: [debt, button, note], show };
}

/**
 * How many more credits the order needs, including the user's debt. 0 while the price is not known.
 */
export function missingCredits(price, wallet) {
  const debt = wallet?.debt ?? 0;
  if (!price || price.enough === null) return 0;
  if (mayBePaid(price) && debt === 0) return 0;
  return Math.max(1, price.lowest + debt - price.balance);
}

const cost = ({ credits, lowest }) =>
  h(
    "span",
    { class: "cost" },
    icon("coin", 16),
    [...new Set([lowest, credits])].map(number).join("–"),
  );

const shortage = ({ lowest: n, balance }) =>
  t("error_insufficient_credits", { n, required: n, balance });

const wait = (price) =>
  price?.etaSeconds > LONG_WAIT ? t("starts_in", { time: duration(price.etaSeconds) }) : "";
