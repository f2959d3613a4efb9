// The violated invariants, each with its job or its user.

import { h } from "../elements.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { jobLink, userLink, UUID } from "./names.js";
import { whatToDo } from "./questions.js";
import { createView, row, rows, table } from "./view.js";

const MOST = 200;
const ID = new RegExp(UUID);

/** Makes the page of the violations. */
export function createViolations() {
  const read = () => rows(supabase.from("invariant_violations").select("*").limit(MOST));

  function draw(found) {
    const heads = [{ text: t("rule") }, { text: t("subject") }, { text: t("what_is") }];
    const line = ({ invariant, subject, detail }) =>
      row(
        heads,
        [
          h("code", {}, invariant),
          subjectLink(invariant, subject),
          h("span", { lang: "en" }, detail),
        ],
        { "data-key": `${invariant} ${subject}` },
      );
    return [
      h("h1", { tabindex: -1 }, t("invariants")),
      h(
        "section",
        { class: "panel" },
        h("p", { class: "muted said" }, t("invariants_text"), " ", whatToDo(1)),
        found.length
          ? table(t("invariants"), heads, h("tbody", {}, found.map(line)))
          : h("p", { class: "empty muted" }, t("invariants_good")),
      ),
    ];
  }

  return createView({ title: () => t("invariants"), read, draw, everyMs: 30_000 });
}

function subjectLink(invariant, subject) {
  const id = ID.exec(subject)?.[0];
  if (!id) return subject;
  return /balance|account|user/.test(`${invariant} ${subject}`) ? userLink(id) : jobLink(id, id);
}
