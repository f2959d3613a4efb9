// The input of an order: in a few words, as the values of a form, and for use in the next form.

import { inWords } from "../words.js";
import { declared } from "./tools.js";

/** What an order asked for, in a few words: "Keep the grain · 2048 px · Standard". */
export function summary({ tool, input }) {
  const values = valuesOf(tool, input);
  if (!values) return "";
  const texts = (isText) =>
    declared(tool)
      .fields.filter(({ type }) => (type === "choice" || type === "several") !== isText)
      .map((field) => shown(field, values[field.name]));
  return [...texts(true), ...texts(false)].filter(Boolean).join(" · ");
}

function shown(field, value) {
  if (value === undefined || value === null || value === "") return null;
  if (field.type === "choice") return optionName(field, value);
  if (field.type === "several") return value.map((option) => optionName(field, option)).join(", ");
  return String(value);
}

/** An option in words: "2048 px", "Pro", "Cover". */
export function optionName({ unit, words }, option) {
  if (words) return inWords(words, option);
  if (typeof option === "number") return [option, unit].filter(Boolean).join(" ");
  return inWords("option", String(option));
}

/** The form's values for a job's input; null if the input is no longer stored. */
export function valuesOf(tool, input) {
  const { files, fields, values } = declared(tool);
  if (!input || Object.keys(input).length === 0) return null;
  const all = values?.(input) ?? input;
  const names = [...files, ...fields].map(({ name }) => name);
  return Object.fromEntries(
    names
      .filter((name) => all[name] !== undefined && all[name] !== null)
      .map((name) => [name, all[name]]),
  );
}

const kindOf = (slot) => slot.accept.split("/")[0];

/**
 * Makes the memory that carries values from form to form: `keep(tool, values)`, and `recall(tool)`
 * for the values that fit the next form. A file goes to the input of the same name or label, else
 * to the first input if that takes its kind.
 */
export function createMemory() {
  const texts = new Map();
  const given = new Map();
  /** The files that were last given to the first input of a form, by kind. */
  const newest = new Map();

  function keep(tool, values) {
    const { files, fields } = declared(tool);
    for (const { name } of fields) if (values[name] !== "") texts.set(name, values[name]);
    for (const slot of files) {
      const list = [values[slot.name] ?? []].flat();
      given.set(slot.name, list);
      given.set(slot.label, list);
      if (list.length > 0 && slot === files[0]) newest.set(kindOf(slot), list);
    }
  }

  function recall(tool) {
    const { files, fields } = declared(tool);
    const values = {};
    for (const { name, options } of fields)
      if (texts.has(name) && fits(texts.get(name), options)) values[name] = texts.get(name);
    for (const slot of files) {
      const own = given.get(slot.name) ?? given.get(slot.label);
      const list = own?.length ? own : slot === files[0] ? (newest.get(kindOf(slot)) ?? []) : [];
      if (list.length > 0) values[slot.name] = slot.many ? list.slice(0, slot.many) : list[0];
    }
    return values;
  }

  return { keep, recall };
}

const fits = (value, options) =>
  !options || [value].flat().every((option) => options.includes(option));
