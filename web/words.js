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

/**
 * The words for a value of the database, such as a status or an error code, or the value itself if
 * there are none: a newer database may have values that this page does not know.
 */
export function inWords(kind, value, parameters) {
  const name = String(value).toLowerCase();
  // An error code has the same words wherever it stands.
  const error = kind === "code" ? t.maybe(`error_${name}`, parameters) : null;
  return t.maybe(`${kind}_${name}`, parameters) ?? error ?? value;
}

/** Adds the words of one page. */
t.add = (more) => Object.assign(words, more);

const shown = (value) => (typeof value === "number" ? number(value) : String(value ?? ""));
