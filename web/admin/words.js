// The words of the admin page, beside those that both pages use.

import { language, t } from "../words.js";
import { short } from "./names.js";

t.add((await import(`../words/admin/${language}.js`)).words);

/** A code in words; one that has none is shown as it is, in the type of a code. */
export function inWords(kind, code) {
  const name = String(code).toLowerCase();
  // Why a job ended has the same words as in the studio.
  const error = kind === "code" ? t.maybe(`error_${name}`) : null;
  return t.maybe(`${kind}_${name}`) ?? error ?? code;
}

/** Who did something: `worker`, `admin:<id>`, null for SQL. */
export function actorName(actor) {
  const [kind, id] = String(actor ?? "sql").split(":");
  const name = t.maybe(`actor_${kind}`) ?? kind;
  return id ? `${name} ${short(id)}` : name;
}
