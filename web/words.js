// The words of the pages, in the first of the browser's languages that we have.

const LANGUAGES = ["en", "pt", "ru", "uk"];
const wanted = navigator.languages.map((name) => name.slice(0, 2));
export const language = wanted.find((name) => LANGUAGES.includes(name)) ?? "en";
document.documentElement.lang = language;

const words = { ...(await import(`./words/${language}.js`)).words };
const plural = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

export const number = (value) => numbers.format(value);

/** The text for a key. `{name}` is replaced by that parameter, and `n` chooses the plural form. */
export function t(key, parameters = {}) {
  const found = t.maybe(key, parameters);
  if (found === null) throw new Error(`no words for ${key}`);
  return found;
}

/** The text for a key, or null if there is none. */
t.maybe = (key, parameters = {}) => {
  const entry = words[key];
  if (entry === undefined) return null;
  const form = plural.select(parameters.n);
  const text = typeof entry === "string" ? entry : (entry[form] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(parameters[name]));
};

/** Adds the words of one page. */
t.add = (more) => Object.assign(words, more);

const shown = (value) => (typeof value === "number" ? number(value) : String(value ?? ""));
