// The form of one tool: places to drop files, fields, and a button that says the price. It orders nothing itself.

import { h, icon, number } from "./page.js";
import { FORMS, order, price } from "./tools.js";
import { t } from "./words.js";

/** @returns the form; `onorder(input, files)` gets a complete order. */
export function toolForm(tool, onorder) {
  const { files, fields } = FORMS[tool.tool];
  const values = Object.fromEntries(fields.map(({ name, preset = "" }) => [name, preset]));
  const cost = h("span", { class: "cost" });
  const button = h(
    "button",
    { class: "button primary wide", type: "submit" },
    t(`do_${tool.tool}`),
    cost,
  );
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
  const submit = (event) => {
    event.preventDefault();
    if (complete()) onorder(order(tool.tool, values));
  };
  refresh();
  return h(
    "form",
    { class: "tool-form", onsubmit: submit },
    h(
      "div",
      { class: files.length > 1 ? "drops two" : "drops" },
      files.map((file) => drop(file, (chosen) => set(file.name, chosen))),
    ),
    fields.map((field) => input(field, (value) => set(field.name, value))),
    button,
  );
}

function input({ name, type, options, preset, unit, max, optional }, onchange) {
  const label = [t(`field_${name}`), optional && h("em", {}, t("optional"))];
  const changed = (event) => onchange(event.target.value.trim());
  if (type === "line")
    return h(
      "label",
      { class: "field" },
      h("span", {}, label),
      h("input", { name, maxlength: max, oninput: changed }),
    );
  if (type === "text")
    return h(
      "label",
      { class: "field" },
      h("span", {}, label),
      h("textarea", { name, rows: optional ? 2 : 5, maxlength: max, oninput: changed }),
    );
  const choice = (option) => {
    const shown =
      typeof option === "number" ? `${option}${unit ? ` ${unit}` : ""}` : t(`option_${option}`);
    const radio = h("input", {
      type: "radio",
      name,
      value: option,
      checked: option === preset,
      onchange: () => onchange(option),
    });
    return h("label", {}, radio, h("span", {}, shown));
  };
  return h(
    "fieldset",
    { class: "field choice" },
    h("legend", {}, label),
    h("div", { class: "segments" }, options.map(choice)),
  );
}

/** A place for one file or a few: dropped, chosen, or pasted by a keyboard's file dialog. */
function drop({ name, accept, label, many }, onchange) {
  const kind = accept.split("/")[0];
  let chosen = [];
  const picker = h("input", {
    type: "file",
    name,
    accept,
    multiple: Boolean(many),
    onchange: () => take(picker.files),
  });
  const shown = h("div", { class: "drop-shown" });
  const zone = h("label", { class: "drop" }, picker, shown);
  const hint = () => [
    icon(kind === "video" ? "video" : "upload", 24),
    h("strong", {}, t(`drop_${label}`)),
    h("span", { class: "muted" }, t("drop_hint")),
  ];
  const preview = (file) => {
    const address = URL.createObjectURL(file);
    return kind === "video"
      ? h("video", { src: address, muted: true, "aria-label": file.name })
      : h("img", { src: address, alt: file.name });
  };
  function take(list) {
    const fitting = [...list].filter((file) => file.type.startsWith(`${kind}/`));
    if (fitting.length === 0) return;
    chosen = many ? [...chosen, ...fitting].slice(0, many) : fitting.slice(0, 1);
    zone.classList.add("filled");
    shown.replaceChildren(
      ...chosen.map(preview),
      h("span", { class: "drop-again" }, t(many && chosen.length < many ? "add_more" : "replace")),
    );
    onchange(many ? chosen : chosen[0]);
  }
  for (const over of ["dragenter", "dragover"])
    zone.addEventListener(over, (event) => (event.preventDefault(), zone.classList.add("over")));
  for (const out of ["dragleave", "drop"])
    zone.addEventListener(out, () => zone.classList.remove("over"));
  zone.addEventListener(
    "drop",
    (event) => (event.preventDefault(), take(event.dataTransfer.files)),
  );
  shown.append(...hint());
  return zone;
}
