// The form of one tool: its inputs for files, its fields, and the offer with the price. It builds
// the order; the studio sends it.

import { h } from "../elements.js";
import { drop, release } from "./drop.js";
import { field, isFilled } from "./fields.js";
import { createOffer, missingCredits } from "./offer.js";
import { createPrice } from "./price.js";
import { declared, order, priced } from "./tools.js";

/**
 * Makes the form, with the values that an earlier form has `kept`: its element, its values,
 * `refresh` for a changed wallet, and `leave` for when another form replaces it.
 * `onorder(input, limits)` gets a complete order, whose price was shown; the form orders nothing
 * else until its promise settles. `onmissing(credits)` is called if credits are missing; `onchange`
 * is called at every change.
 */
export function toolForm({ tool }, { kept = {}, wallet, canBuy, onorder, onmissing, onchange }) {
  const { files, fields } = declared(tool);
  const presets = Object.fromEntries(fields.map(({ name, preset = "" }) => [name, preset]));
  const values = { ...presets, ...kept };
  const offer = createOffer(tool);
  let [price, asking] = [null, { isAsking: false, error: null }];
  /** Whether an order is on its way. A second click would make and charge a second job. */
  let isOrdering = false;
  const complete = () =>
    files.every(({ name }) => [values[name] ?? []].flat().length > 0) &&
    fields.every((declaration) => isFilled(declaration, values[declaration.name]));
  const show = () => {
    const isComplete = complete();
    offer.show(price, { wallet: wallet.get(), ...asking, isComplete, isOrdering, canBuy });
  };
  const prices = createPrice(tool, (...newest) => {
    [price, asking] = newest;
    show();
  });
  const set = (name, value) => {
    values[name] = value;
    prices.ask(priced(tool, values));
    show();
    onchange();
  };
  const onsubmit = (event) => {
    event.preventDefault();
    if (isOrdering) return;
    const missing = missingCredits(price, wallet.get());
    if (missing > 0) onmissing(missing);
    else if (price && complete()) send();
  };
  const send = async () => {
    isOrdering = true;
    show();
    try {
      await onorder(order(tool, values), { maxCredits: price.credits });
    } finally {
      isOrdering = false;
      show();
    }
  };
  const drops = files.map((file) =>
    drop(file, values[file.name], (chosen) => set(file.name, chosen)),
  );
  const inputs = fields.map((declaration) =>
    field(declaration, values[declaration.name], (value) => set(declaration.name, value)),
  );
  prices.ask(priced(tool, values));
  const element = h(
    "form",
    { class: "tool-form", onsubmit },
    drops.length > 0 && h("div", { class: drops.length > 1 ? "drops two" : "drops" }, drops),
    inputs,
    h("div", { class: "offer" }, offer.elements),
  );
  const leave = () => {
    prices.stop();
    release(element);
  };
  return { element, values, refresh: prices.refresh, leave };
}
