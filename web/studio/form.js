// The form of one tool: places to drop files, fields, and the offer with the price. It makes the
// order and leaves sending it to the studio.

import { h } from "../elements.js";
import { t } from "../words.js";
import { drop } from "./drop.js";
import { createOffer, missingCredits } from "./offer.js";
import { createPrice } from "./price.js";
import { declared, order, priced } from "./tools.js";

/**
 * Makes the form, with the values that were `kept` of an earlier one: its element, its values, and
 * `refresh` for another wallet. `onorder(input, limits)` gets a complete order;
 * `onmissing(credits)` is called where credits are missing.
 */
export function toolForm({ tool }, { kept = {}, wallet, canBuy, onorder, onmissing }) {
  const { files, fields } = declared(tool);
  const presets = Object.fromEntries(fields.map(({ name, preset = "" }) => [name, preset]));
  const values = { ...presets, ...kept };
  const offer = createOffer(tool);
  let [price, isAsking] = [null, false];
  const complete = () =>
    files.every(({ name }) => [values[name] ?? []].flat().length > 0) &&
    fields.every(({ name, optional }) => optional || values[name] !== "");
  const show = () =>
    offer.show(price, { wallet: wallet.get(), isAsking, isComplete: complete(), canBuy });
  const prices = createPrice(tool, (...newest) => {
    [price, isAsking] = newest;
    show();
  });
  const set = (name, value) => {
    values[name] = value;
    prices.ask(priced(tool, values));
    show();
  };
  const onsubmit = (event) => {
    event.preventDefault();
    const missing = missingCredits(price, wallet.get());
    if (missing > 0) onmissing(missing);
    else if (complete()) onorder(order(tool, values), { maxCredits: limit(price) });
  };
  const drops = files.map((file) =>
    drop(file, values[file.name], (chosen) => set(file.name, chosen)),
  );
  const inputs = fields.map((field) =>
    input(field, values[field.name], (value) => set(field.name, value)),
  );
  prices.ask(priced(tool, values));
  const element = h(
    "form",
    { class: "tool-form", onsubmit },
    h("div", { class: files.length > 1 ? "drops two" : "drops" }, drops),
    inputs,
    h("div", { class: "offer" }, offer.elements),
  );
  return { element, values, refresh: prices.refresh };
}

/** What an order may cost at most: what the button said. */
const limit = (price) => price?.credits ?? null;

function input(field, value, onchange) {
  const { name, type, max, optional } = field;
  const label = [t(`field_${name}`), optional && h("em", {}, t("optional"))];
  if (type === "choice") return choice(field, value, label, onchange);
  const changed = (event) => onchange(event.target.value.trim());
  const attributes = { name, maxlength: max, oninput: changed };
  const box =
    type === "line"
      ? h("input", { ...attributes, value })
      : h("textarea", { rows: optional ? 2 : 5, ...attributes }, value);
  return h("label", { class: "field" }, h("span", {}, label), box);
}

function choice({ name, options, unit }, chosen, label, onchange) {
  const words = (option) =>
    typeof option === "number" ? [option, unit].filter(Boolean).join(" ") : t(`option_${option}`);
  const radio = (option) => {
    const checked = option === chosen;
    const onpick = () => onchange(option);
    return h("input", { type: "radio", name, value: option, checked, onchange: onpick });
  };
  const segments = options.map((option) =>
    h("label", {}, radio(option), h("span", {}, words(option))),
  );
  const legend = h("legend", {}, label);
  return h(
    "fieldset",
    { class: "field choice" },
    legend,
    h("div", { class: "segments" }, segments),
  );
}
