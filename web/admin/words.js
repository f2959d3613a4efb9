// The words of the admin page, in addition to those of both pages.

import { language, t } from "../words.js";
import { short } from "./names.js";

t.add((await import(`../words/admin/${language}.js`)).words);

/** The words for a code, or the code itself if it has none. */
export function inWords(kind, code) {
  const name = String(code).toLowerCase();
  // The studio has words for error codes already.
  const error = kind === "code" ? t.maybe(`error_${name}`) : null;
  return t.maybe(`${kind}_${name}`) ?? error ?? code;
}

/** The name of an actor: `worker`, `admin:<id>`, null for SQL. */
export function actorName(actor) {
  const [kind, id] = String(actor ?? "sql").split(":");
  const name = t.maybe(`actor_${kind}`) ?? kind;
  return id ? `${name} ${short(id)}` : name;
}
