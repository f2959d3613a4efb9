// The jobs that match the filters, in pages. A refresh updates the rows, but moves no row while the
// pointer, the focus or a selection is in the list: new jobs then wait behind a button.

import { badge, button, h, link, time, toast } from "../elements.js";
import { duration, number, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { createActs, isLive } from "./acts.js";
import { changeMatching } from "./bulk.js";
import { FILE_MAX, saveCsv } from "./download.js";
import { chosenIn, createMatching, filterForm, filterInWords } from "./filters.js";
import { jobLink, userLink } from "./names.js";
import { address, query } from "./router.js";
import { paged, part, row, rows, table } from "./view.js";

const PAGE = 25;
const COLUMNS =
  "id, tool, user_id, status, credits_charged, credits_refunded, error_code, error_message, " +
  "created_at, started_at, completed_at, deadline_at, quarantined_at";

/** Makes the list: `read(reason)`, `draw(seen)`. `place` is the path of its filters' URLs. */
export function createJobs({ tools, place, refresh }) {
  const acts = createActs({ tools, refresh });
  /** What was drawn last. It is set by `draw`, because the view may drop what was read. */
  let last = null;

  const matching = createMatching(tools);
  const inOrder = (jobs, order) =>
    jobs.order("created_at", { ascending: order === "oldest" }).order("id");

  async function read(reason) {
    const { page = 1, order, ...parameters } = query();
    const chosen = chosenIn(parameters);
    const where = location.search;
    const from = (Math.max(1, Number(page) || 1) - 1) * PAGE;
    // One row more than a page shows whether there is a next page.
    const found = await rows(inOrder(matching(chosen, COLUMNS), order).range(from, from + PAGE));
    const counted = reason === "refresh" && last?.where === where;
    const total = counted ? last.total : await totalOf(matching(chosen, "id", countOnly));
    const seen = { where, chosen, order, page: from / PAGE + 1, total, fresh: 0 };
    seen.jobs = found.slice(0, PAGE);
    seen.more = found.length > PAGE;
    if (reason === "refresh" && last?.where === where && isHeld()) await keepRows(seen);
    return seen;
  }

  /** Keeps the shown rows with their present values, and counts the new jobs. */
  async function keepRows(seen) {
    const ids = last.jobs.map(({ id }) => id);
    const shown = new Set(ids);
    seen.fresh = seen.jobs.filter(({ id }) => !shown.has(id)).length;
    if (seen.fresh === 0) return;
    const now = await rows(supabase.from("jobs").select(COLUMNS).in("id", ids));
    const byId = new Map(now.map((job) => [job.id, job]));
    seen.jobs = last.jobs.map((job) => byId.get(job.id) ?? job);
    seen.more = last.more;
  }

  async function saveAll(chosen, order) {
    const all = () => inOrder(matching(chosen, COLUMNS), order);
    const { data, error } = await paged(all, FILE_MAX);
    if (error) toast(unread(error), "bad");
    else saveCsv("jobs", COLUMNS.split(", "), data);
  }

  const bulk = async (act, chosen) => {
    if (await changeMatching({ act, chosen, matching })) await refresh();
  };

  /** Each button acts on the filters with which it was drawn. */
  function draw(seen) {
    last = seen;
    const { chosen, order, page, jobs, more, total, fresh } = seen;
    const change = (act) => () => bulk(act, chosen);
    const heads = headings();
    const body = jobs.map((job) => jobRow(heads, job, acts));
    const none = h("p", { class: "empty muted" }, t("no_jobs"));
    return h(
      "section",
      { class: "panel jobs", "aria-labelledby": "jobs-title" },
      h(
        "div",
        { class: "head" },
        h("h2", { id: "jobs-title" }, t("jobs"), total !== null && counter(total)),
        // The button stands beside the heading, so that it moves no row under the pointer.
        fresh > 0 && button(t("fresh_jobs", { n: fresh }), refreshNow, "fresh small"),
        h(
          "div",
          { class: "acts" },
          button(t("save_csv"), () => saveAll(chosen, order), "quiet small"),
          button(t("retry_all"), change("retry"), "quiet small", { "data-many": "retry" }),
          button(t("cancel_all"), change("cancel"), "danger small", { "data-many": "cancel" }),
        ),
      ),
      filterForm({ chosen, place, tools, extra: { order } }),
      filterInWords(chosen) && h("p", { class: "said muted" }, filterInWords(chosen)),
      body.length ? table(t("jobs"), heads, h("tbody", {}, body)) : none,
      pages({ page, more, total, order, chosen }),
    );
  }

  async function refreshNow() {
    last = null;
    await refresh();
  }

  function pages({ page, more, total, order, chosen }) {
    const at = (to) => address(place, { ...chosen, order, page: to > 1 ? to : "" });
    const turned = order === "oldest" ? "" : "oldest";
    const turn = address(place, { ...chosen, order: turned });
    const of = total === null ? null : Math.max(1, Math.ceil(total / PAGE));
    return h(
      "footer",
      { class: "pages" },
      link(turn, t(turned ? "oldest_first" : "newest_first"), { class: "button quiet small" }),
      h("span", { class: "muted" }, of ? t("page_of", { n: page, of }) : t("page", { n: page })),
      page > 1 && link(at(page - 1), t("previous"), { class: "button small", rel: "prev" }),
      more && link(at(page + 1), t("next"), { class: "button small", rel: "next" }),
    );
  }

  return { read, draw };
}

const countOnly = { count: "exact", head: true };

async function totalOf(jobs) {
  const { count, error } = await jobs;
  return error ? null : count;
}

const counter = (total) => h("span", { class: "counter", "data-total": total }, number(total));

/** Whether the pointer, the keyboard focus or a selection is in the list. */
function isHeld() {
  const list = document.querySelector(".jobs .scroll");
  if (!list) return false;
  const { anchorNode, isCollapsed } = getSelection();
  const selects = !isCollapsed && list.contains(anchorNode);
  return selects || list.matches(":hover") || list.contains(document.activeElement);
}

export const headings = () => [
  { text: t("when") },
  { text: t("job") },
  { text: t("filter_status") },
  { text: t("filter_user") },
  { text: t("credits_head"), num: true },
  { text: t("took"), num: true },
  { text: t("actions"), hidden: true },
];

export function jobRow(heads, job, acts) {
  return row(
    heads,
    [
      time(job.created_at),
      [link(address(`/jobs/${job.id}`), toolName(job.tool)), " ", jobLink(job.id)],
      [badge(job.status), why(job)],
      userLink(job.user_id),
      [number(job.credits_charged), refunded(job)],
      { show: took(job), kind: isLive(job) ? "muted" : "" },
      acts && { show: [acts.retryButton(job), acts.cancelButton(job)], kind: "end" },
    ].slice(0, heads.length),
    { "data-key": job.id, "data-job": job.id, "data-status": job.status },
  );
}

/** The error code, unless the status says it already. */
const why = ({ error_code: code }) =>
  code && code !== "CANCELLED" && h("small", {}, inWords("code", code));

const refunded = ({ credits_refunded: credits }) =>
  credits > 0 && h("small", { class: "good" }, `−${number(credits)}`);

/** How long a job took, or how old it is if it is live. */
function took({ created_at: created, completed_at: completed }) {
  const end = completed ? Date.parse(completed) : Date.now();
  const seconds = (end - Date.parse(created)) / 1000;
  return completed ? duration(seconds) : t("so_far", { time: duration(seconds) });
}

/** The newest jobs of a user. */
export const jobsOf = (user) =>
  part(
    supabase
      .from("jobs")
      .select(COLUMNS)
      .eq("user_id", user)
      .order("created_at", { ascending: false })
      .limit(10),
  );
