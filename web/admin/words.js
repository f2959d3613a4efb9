// The words of the admin page, beside those that both pages use.

import { language, t } from "../words.js";

t.add((await import(`../words/admin/${language}.js`)).words);

/** A code in words; one that has none is shown as it is, in the type of a code. */
export const inWords = (kind, code) => t.maybe(`${kind}_${String(code).toLowerCase()}`) ?? code;

/** Who did something: `worker`, `admin:<id>`, null for SQL. */
export function actorName(actor) {
  const [kind, id] = String(actor ?? "sql").split(":");
  const name = t.maybe(`actor_${kind}`) ?? kind;
  return id ? `${name} ${id.slice(0, 8)}` : name;
}
