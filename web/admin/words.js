// The words of the admin page, in addition to those of both pages.

import { language, t } from "../words.js";
import { short } from "./names.js";

t.add((await import(`../words/admin/${language}.js`)).words);

/** The name of an actor: `worker`, `admin:<id>`, null for SQL. */
export function actorName(actor) {
  const [kind, id] = String(actor ?? "sql").split(":");
  const name = t.maybe(`actor_${kind}`) ?? kind;
  return id ? `${name} ${short(id)}` : name;
}
