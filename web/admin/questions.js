// The operator's questions with the answers of docs/operations.md, each at a URL of its own. Tiles
// and alarms link to them.

import { h, link, problem } from "../elements.js";
import { t } from "../words.js";
import { copyable } from "./names.js";
import { address } from "./router.js";
import { createView } from "./view.js";

/** The number of the question for each code of the health report and of the alerts. */
const QUESTION_OF = {
  healer_stopped: 2,
  stuck: 3,
  invariants: 1,
  provider_failing: 8,
  provider_alarm: 8,
  provider_balance_low: 8,
  webhook_overdue: 8,
  receiver_away: 15,
  ends_given_up: 15,
  settings_disagree: 15,
};

export const questionOf = (code) => QUESTION_OF[code];

/** A link to the answer to a question. */
export function whatToDo(number, { text = "?", kind = "what-to-do" } = {}) {
  const name = t("what_to_do_about", { n: number });
  const named = text === "?" ? { "aria-label": name, title: name } : {};
  const own = { class: kind, "data-question": number, ...named };
  return link(address(`/questions/${number}`), text, own);
}

/** Makes the page of one question, or the list of all. */
export function createQuestions(_context, number) {
  let questions = null;

  async function read() {
    questions ??= await (await fetch("/build/operations.json")).json();
    return questions;
  }

  function draw(found) {
    const one = found.find((question) => String(question.number) === number);
    if (number && !one) return problem(t("no_such_page"));
    return one ? answer(one) : list(found);
  }

  const title = () => (number ? t("question_n", { n: number }) : t("questions"));
  return createView({ title, read, draw, everyMs: 3_600_000, kind: "questions" });
}

const list = (found) => [
  h("h1", { tabindex: -1 }, t("questions")),
  h(
    "ol",
    { class: "panel", lang: "en" },
    found.map(({ number, title }) => h("li", {}, link(address(`/questions/${number}`), title))),
  ),
];

const answer = ({ title, blocks }) => [
  h("h1", { tabindex: -1, lang: "en" }, title),
  h("section", { class: "panel answer", lang: "en" }, blocks.map(block)),
  h("p", {}, link(address("/questions"), t("all_questions"))),
];

function block({ code, rows, items, text }) {
  if (code)
    return [h("pre", { tabindex: 0 }, h("code", {}, code)), copyable(code, t("copy_query"))];
  if (items)
    return h(
      "ol",
      {},
      items.map((item) => h("li", {}, words(item))),
    );
  if (!rows) return h("p", {}, words(text));
  const [heads, ...lines] = rows;
  const cells = (tag, row) => row.map((cell) => h(tag, {}, words(cell)));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": heads.join(", ") },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, cells("th", heads))),
      h(
        "tbody",
        {},
        lines.map((line) => h("tr", {}, cells("td", line))),
      ),
    ),
  );
}

/**
 * Renders a line of Markdown with code, emphasis and links. Only links to other sites become links.
 */
function words(text) {
  const parts = text.split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*|\[[^\]]+\]\([^)]+\))/);
  return parts.map((part) => {
    const [, label, to] = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(part) ?? [];
    if (label) return /^https:/.test(to) ? link(to, label) : label;
    if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
    if (/^\*\*.+\*\*$/.test(part)) return h("strong", {}, part.slice(2, -2));
    return /^\*.+\*$/.test(part) ? h("em", {}, part.slice(1, -1)) : part;
  });
}
