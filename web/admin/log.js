// The log of what admins did: who, when, what, the old and the new values, why. Nobody can change
// it.

import { button, h, link, time, toast } from "../elements.js";
import { number, unread } from "../format.js";
import { supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { FILE_MAX, saveCsv } from "./download.js";
import { select } from "./filters.js";
import { interval, short, userLink, UUID } from "./names.js";
import { address, go, query } from "./router.js";
import { createView, paged, row, rows, table } from "./view.js";

const PAGE = 50;
const INTERVALS = ["run_timeout", "queue_ttl"];

/** Makes the page of the log. */
export function createLog() {
  function entries({ act, actor, subject }) {
    let found = supabase.from("admin_log").select("*").order("id", { ascending: false });
    if (act) found = found.eq("act", act);
    if (actor) found = found.eq("actor", actor);
    if (subject) found = found.eq("subject", subject);
    return found;
  }

  async function read() {
    const { before, ...chosen } = query();
    let found = entries(chosen);
    if (before) found = found.lt("id", before);
    const page = await rows(found.limit(PAGE + 1));
    return { chosen, page: page.slice(0, PAGE), more: page.length > PAGE, before };
  }

  async function save() {
    const chosen = query();
    const { data, error } = await paged(() => entries(chosen), FILE_MAX);
    if (error) return toast(unread(error), "bad");
    saveCsv("log", ["id", "at", "actor", "act", "subject", "from", "to", "reason"], data);
  }

  function draw({ chosen, page, more, before }) {
    const oldest = page.at(-1)?.id;
    return [
      h("h1", { tabindex: -1 }, t("tab_log")),
      h(
        "section",
        { class: "panel" },
        h("div", { class: "head" }, form(chosen), button(t("save_csv"), save, "quiet small")),
        page.length ? logTable(page) : h("p", { class: "empty muted" }, t("no_log")),
        h(
          "footer",
          { class: "pages" },
          before && link(address("/log", chosen), t("newest"), { class: "button small" }),
          more &&
            link(address("/log", { ...chosen, before: oldest }), t("older"), {
              class: "button small",
            }),
        ),
      ),
    ];
  }

  return createView({ title: () => t("tab_log"), read, draw });
}

function form({ act = "", subject = "" }) {
  const onsubmit = (event) => {
    event.preventDefault();
    go(address("/log", Object.fromEntries(new FormData(event.target))));
  };
  const acts = ACTS.map((name) => [name, t(`act_${name}`)]);
  const input = h("input", {
    name: "subject",
    type: "search",
    value: subject,
    spellcheck: "false",
  });
  return h(
    "form",
    { class: "filters", onsubmit },
    select("act", acts, { value: act, label: t("act") }),
    h("label", { class: "field grow" }, t("subject"), input),
  );
}

/** The acts that have words. */
const ACTS = [
  "credits_granted",
  "price_changed",
  "provider_changed",
  "tool_changed",
  "circuit_closed",
  "job_cancelled",
  "job_retried",
  "jobs_cancelled",
  "jobs_retried",
  "user_erase",
];

export function logTable(page) {
  const heads = [
    { text: t("entry_at") },
    { text: t("actor") },
    { text: t("act") },
    { text: t("subject") },
    { text: t("change") },
    { text: t("entry_reason") },
  ];
  const line = ({ id, at, actor, act, subject, from, to, reason }) =>
    row(
      heads,
      [
        time(at),
        actor ? userLink(actor) : t("actor_sql"),
        inWords("act", act),
        subjectLink(subject, act),
        changes(from, to),
        { show: reason || "–", kind: "muted" },
      ],
      { "data-key": id, "data-act": act },
    );
  return table(t("tab_log"), heads, h("tbody", {}, page.map(line)));
}

const ID = new RegExp(`^${UUID}$`);

function subjectLink(subject, act) {
  if (!subject) return "–";
  if (!ID.test(subject)) return t.maybe(`tool_${subject}`) ?? subject;
  const place = /^job/.test(act) ? "jobs" : "users";
  return link(address(`/${place}/${subject}`), short(subject), {
    class: "link code",
    title: subject,
  });
}

/** The values that an act changed, field by field: `credits 60 → 80`. */
function changes(from, to) {
  const names = [...new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})])];
  const told = names
    // The entry lists the jobs that were changed, so the ids that were asked for are left out.
    .filter((name) => name !== "ids" && JSON.stringify(from?.[name]) !== JSON.stringify(to?.[name]))
    .map((name) => {
      const [old, now] = [from, to].map((side) => shown(name, side?.[name]));
      const field = inWords("set", name);
      const both = from && name in from && to && name in to;
      const one = name in (to ?? {}) ? h("b", {}, now) : h(to ? "b" : "s", {}, old);
      const told = both ? [h("s", {}, old), " → ", h("b", {}, now)] : one;
      return h("li", {}, field, " ", told);
    });
  return told.length ? h("ul", { class: "changes" }, told) : "–";
}

function shown(name, value) {
  if (value === undefined || value === null) return "–";
  if (INTERVALS.includes(name)) return interval(value);
  if (typeof value === "number") return number(value);
  if (typeof value === "boolean") return t(value ? "is_on" : "is_off");
  if (Array.isArray(value)) return number(value.length);
  if (typeof value === "object") return JSON.stringify(value);
  const kinds = ["tool", "status", "per", "refuses", "code", "error"];
  return kinds.map((kind) => t.maybe(`${kind}_${value}`.toLowerCase())).find(Boolean) ?? value;
}
