// The table of the jobs that match the filters, a page at a time, with the actions on each.

import { badge, button, h, toast } from "../elements.js";
import { duration, number, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { createActions } from "./actions.js";
import { LIVE } from "./filters.js";

const PAGE = 25;
const COLUMNS =
  "id, tool, user_id, status, credits_charged, credits_refunded, " +
  "created_at, completed_at, deadline_at";

/**
 * Makes the table: its element, `show`, and whether it shows its first page. `open(job)` shows a
 * job's history; `refresh` runs after every action.
 */
export function createJobTable({ tools, filters, open, refresh }) {
  const actions = createActions({ tools, filters, refresh });
  const body = h("tbody");
  const pageNumber = h("span", { class: "muted" });
  const previous = button(t("previous"), () => turn(-1), "quiet");
  const next = button(t("next"), () => turn(1), "quiet");
  const cancelAll = button(t("cancel_all"), actions.cancelAll, "danger", { disabled: true });
  let page = 0;
  filters.element.append(cancelAll);
  filters.onchange = () => {
    page = 0;
    return show();
  };

  function turn(by) {
    page += by;
    return show();
  }

  async function show() {
    // One more than fits tells whether there is a next page, without counting a million rows.
    const { data, error } = await filters
      .apply(supabase.from("jobs").select(COLUMNS))
      .order("created_at", { ascending: false })
      .range(page * PAGE, page * PAGE + PAGE);
    if (error) return body.replaceChildren(message(t("error_network")));
    const jobs = data.slice(0, PAGE);
    const tasks = await providerTasks(jobs);
    const rows = jobs.map((job) => row(job, tasks.get(job.id), { actions, filters, open }));
    body.replaceChildren(...(rows.length ? rows : [message(t("no_jobs"))]));
    pageNumber.textContent = t("page", { n: page + 1 });
    previous.disabled = page === 0;
    next.disabled = data.length <= PAGE;
    cancelAll.disabled = !jobs.some(({ status }) => LIVE.includes(status));
  }

  const attributes = { class: "panel jobs", "aria-labelledby": "jobs-title" };
  const element = h(
    "section",
    attributes,
    h("h2", { id: "jobs-title" }, t("jobs")),
    filters.element,
    table(body),
    h("footer", { class: "pages" }, pageNumber, previous, next),
  );
  return { element, show, onFirstPage: () => page === 0 };
}

/** The newest task id that a provider gave each of the jobs. */
async function providerTasks(jobs) {
  const ids = jobs.map(({ id }) => id);
  const { data, error } = await supabase
    .from("job_steps")
    .select("job_id, step, provider_task_id")
    .in("job_id", ids)
    .order("step");
  if (error) toast(unread(error), "bad");
  const submitted = (data ?? []).filter((step) => step.provider_task_id);
  return new Map(submitted.map((step) => [step.job_id, step.provider_task_id]));
}

function table(body) {
  const keys = ["job", "filter_status", "filter_user", "credits_head", "age", "provider_id"];
  const numeric = ["credits_head", "age"];
  const head = keys.map((key) =>
    h("th", { scope: "col", class: numeric.includes(key) && "num" }, t(key)),
  );
  head.push(h("th", { scope: "col" }, h("span", { class: "sr" }, t("actions"))));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": t("jobs") },
    h("table", {}, h("thead", {}, h("tr", {}, head)), body),
  );
}

function message(text) {
  return h("tr", {}, h("td", { colspan: 7, class: "empty muted" }, text));
}

function row(job, task, { actions, filters, open }) {
  const none = h("span", { class: "muted" }, "–");
  return h(
    "tr",
    { "data-job": job.id, "data-status": job.status },
    h(
      "td",
      {},
      link(toolName(job.tool), () => open(job)),
      shortId(job),
    ),
    h("td", {}, badge(job.status)),
    h("td", {}, userLink(job, filters)),
    h("td", { class: "num" }, number(job.credits_charged), refunded(job)),
    h("td", { class: "num", title: job.created_at }, duration(age(job))),
    h("td", {}, task ? h("code", {}, task) : none),
    h("td", { class: "end" }, retryButton(job, actions), cancelButton(job, actions)),
  );
}

function link(text, onclick, kind = "", title = null) {
  return h("button", { type: "button", class: `link ${kind}`.trim(), title, onclick }, text);
}

function shortId({ id }) {
  return h("code", { title: id }, id.slice(0, 8));
}

function userLink({ user_id: user }, filters) {
  const short = `${user.slice(0, 4)}…${user.slice(-4)}`;
  return link(short, () => filters.onlyUser(user), "code", t("only_user", { user }));
}

function refunded({ credits_refunded: credits }) {
  return credits > 0 && h("small", { class: "good" }, `−${number(credits)}`);
}

/** How old a job is, or was when it ended, in seconds. */
function age({ created_at: created, completed_at: completed }) {
  const end = completed ? Date.parse(completed) : Date.now();
  return (end - Date.parse(created)) / 1000;
}

function retryButton(job, { retry }) {
  const live = LIVE.includes(job.status);
  const overdue = job.status !== "pending" && Date.parse(job.deadline_at) < Date.now();
  if (live && !overdue) return null;
  const onclick = (event) => retry(event.target, job);
  return button(t("retry"), onclick, "quiet small", { "data-retry": job.id });
}

function cancelButton(job, { cancel }) {
  if (!LIVE.includes(job.status)) return null;
  const onclick = (event) => cancel(event.target, job);
  return button(t("cancel"), onclick, "danger small", { "data-cancel": job.id });
}
