// The form of one tool: places to drop files, fields, and a button that shows the price. It makes
// the order and leaves sending it to the studio.

import { h, icon } from "../elements.js";
import { number } from "../format.js";
import { t } from "../words.js";
import { drop } from "./drop.js";
import { declared, order, price } from "./tools.js";

/** @returns the form; `onorder(input)` gets a complete order. */
export function toolForm(tool, onorder) {
  const { files, fields } = declared(tool.tool);
  const values = Object.fromEntries(fields.map(({ name, preset = "" }) => [name, preset]));
  const cost = h("span", { class: "cost" });
  const submit = { class: "button primary wide", type: "submit" };
  const button = h("button", submit, t(`do_${tool.tool}`), cost);
  const complete = () =>
    files.every(({ name }) => [values[name] ?? []].flat().length > 0) &&
    fields.every(({ name, optional }) => optional || values[name] !== "");
  const refresh = () => {
    button.disabled = !complete();
    cost.replaceChildren(icon("coin", 16), number(price(tool, values)));
  };
  const set = (name, value) => {
    values[name] = value;
    refresh();
  };
  const onsubmit = (event) => {
    event.preventDefault();
    if (complete()) onorder(order(tool.tool, values));
  };
  const drops = files.map((file) => drop(file, (chosen) => set(file.name, chosen)));
  const inputs = fields.map((field) => input(field, (value) => set(field.name, value)));
  refresh();
  return h(
    "form",
    { class: "tool-form", onsubmit },
    h("div", { class: files.length > 1 ? "drops two" : "drops" }, drops),
    inputs,
    button,
  );
}

function input(field, onchange) {
  const { name, type, max, optional } = field;
  const label = [t(`field_${name}`), optional && h("em", {}, t("optional"))];
  if (type === "choice") return choice(field, label, onchange);
  const changed = (event) => onchange(event.target.value.trim());
  const attributes = { name, maxlength: max, oninput: changed };
  const box =
    type === "line"
      ? h("input", attributes)
      : h("textarea", { rows: optional ? 2 : 5, ...attributes });
  return h("label", { class: "field" }, h("span", {}, label), box);
}

function choice({ name, options, preset, unit }, label, onchange) {
  const words = (option) =>
    typeof option === "number" ? [option, unit].filter(Boolean).join(" ") : t(`option_${option}`);
  const radio = (option) => {
    const checked = option === preset;
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
