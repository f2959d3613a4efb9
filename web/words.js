// The reader's language: the first of the browser's that we have.

const LANGUAGES = ["en", "pt", "ru", "uk"];
export const language =
  navigator.languages.map((name) => name.slice(0, 2)).find((name) => LANGUAGES.includes(name)) ??
  "en";

const { words } = await import(`./words/${language}.js`);
const plural = new Intl.PluralRules(language);

/** The words for a key; `{name}` becomes that parameter, and `n` chooses among plural forms. */
export function t(key, parameters = {}) {
  const found = t.maybe(key, parameters);
  if (found === null) throw new Error(`no words for ${key}`);
  return found;
}

t.maybe = (key, parameters = {}) => {
  const entry = words[key];
  if (entry === undefined) return null;
  const text =
    typeof entry === "string" ? entry : (entry[plural.select(parameters.n)] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(parameters[name] ?? ""));
};
