// The fields of a form: lines and texts with a counter of characters, choices of one or of several
// options.

import { h } from "../elements.js";
import { number } from "../format.js";
import { t } from "../words.js";
import { optionName } from "./input.js";

/** A counter is hidden below this share of the maximum. */
const COUNTED_FROM = 0.8;
/** Only a field with a maximum of at most so many characters hides its counter. */
const SHORT = 1000;

/** The number of characters, counted as the functions count them. */
export const length = (text) => [...text].length;

/** Whether the field's value is complete and not too long. */
export function isFilled({ optional, max }, value) {
  if (Array.isArray(value)) return value.length > 0;
  const count = typeof value === "string" ? length(value) : 1;
  return count === 0 ? Boolean(optional) : !max || count <= max;
}

/** The element of a field; `onchange` gets each new value. */
export function field(declared, value, onchange) {
  const label = [t(`field_${declared.name}`), declared.optional && h("em", {}, t("optional"))];
  if (declared.options) return choice(declared, value, label, onchange);
  return text(declared, value, label, onchange);
}

function text({ name, type, max, optional }, value, label, onchange) {
  const counter = h("small", { class: "counter", "aria-hidden": "true" });
  const count = () => {
    const long = length(box.value.trim());
    const isOver = long > max;
    counter.hidden = max <= SHORT && long < max * COUNTED_FROM;
    counter.textContent = `${number(long)} / ${number(max)}`;
    counter.classList.toggle("over", isOver);
    box.setAttribute("aria-invalid", String(isOver));
    said.textContent = isOver ? t("too_long", { n: long - max }) : "";
  };
  const oninput = () => {
    count();
    onchange(box.value.trim());
  };
  const said = h("span", { class: "field-said", role: "status" });
  const box =
    type === "line"
      ? h("input", { name, oninput, value })
      : h("textarea", { name, oninput, rows: optional ? 2 : 5 }, value);
  count();
  const head = h("span", { class: "field-head" }, h("span", {}, label), counter);
  return h("label", { class: "field" }, head, box, said);
}

/** A choice of one or of several options. */
function choice(declared, chosen, label, onchange) {
  const { name, options, type } = declared;
  const isMany = type === "several";
  let picked = [chosen].flat();
  const pick = (option, isChecked) => {
    if (!isMany) return onchange(option);
    picked = options.filter((other) => (other === option ? isChecked : picked.includes(other)));
    onchange(picked);
  };
  const box = (option) =>
    h("input", {
      type: isMany ? "checkbox" : "radio",
      name,
      value: option,
      checked: picked.includes(option),
      onchange: ({ target }) => pick(option, target.checked),
    });
  const parts = options.map((option) =>
    h("label", {}, box(option), h("span", {}, optionName(declared, option))),
  );
  return h(
    "fieldset",
    { class: "field choice" },
    h("legend", {}, label),
    h("div", { class: isMany ? "chips" : "segments" }, parts),
  );
}
