// The page of one job: why it waits or has ended, its input and results, its steps, its history,
// its credits, and the acts on it.

import { badge, h, link, problem, time } from "../elements.js";
import { number, toolName, unread } from "../format.js";
import { logsUrl, supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { createActs, isLive } from "./acts.js";
import { ledgerTable } from "./ledger.js";
import { results, values } from "./media.js";
import { copyable, gap, jobLink, moment, short } from "./names.js";
import { address } from "./router.js";
import { emailOf } from "./users.js";
import { createView, drawn, facts, part, row, rows, section, table } from "./view.js";
import { sentence } from "./waits.js";
import { actorName } from "./words.js";

const STEP_COLUMNS =
  "step, status, provider, provider_task_id, run, attempts, rescues, share, not_before, sent_at, " +
  "started_at, lease_until, deadline_at, provider_done_at, error_code, error_message, completed_at";

/** Makes the page of a job. */
export function createJob({ tools, refresh }, id) {
  const acts = createActs({ tools, refresh });
  const about = Object.fromEntries(tools.map((tool) => [tool.tool, tool]));
  let email = null;

  async function read() {
    const of = (table, columns, key = "job_id") => supabase.from(table).select(columns).eq(key, id);
    const [found, steps, events, entries, load, places, retries] = await Promise.all([
      rows(of("jobs", "*", "id")),
      part(of("job_steps", STEP_COLUMNS).order("step")),
      part(of("job_events", "*").order("id")),
      part(of("credit_entries", "*").order("id")),
      part(supabase.from("provider_load").select("*")),
      part(of("queue_positions", "position, eta_seconds")),
      part(of("jobs", "id, status", "retry_of").order("created_at")),
    ]);
    const [job] = found;
    if (!job) return null;
    email ??= await emailOf(job.user_id);
    const hasTasks = about[job.tool]?.table_name === "generation_jobs";
    const tasks = hasTasks ? await part(of("generation_tasks", "image_url")) : { rows: [] };
    view.everyMs = isLive(job) ? 2000 : 10_000;
    return { job, steps, events, entries, load, places, retries, tasks: tasks.rows, email };
  }

  function draw(seen) {
    if (seen === null) return problem(t("no_such_job"));
    const { job, steps, events, entries } = seen;
    return [
      head(seen, acts),
      standing(seen),
      h(
        "div",
        { class: "pair" },
        section(t("input"), values(job.input, t("input_gone"))),
        section(t("result"), output(seen)),
      ),
      section(t("steps"), drawn(steps, stepTable, t("no_steps"))),
      section(t("events"), drawn(events, eventTable, t("no_events"))),
      section(t("ledger"), drawn(entries, ledgerTable, t("not_charged"))),
    ];
  }

  const title = () => `${t("job")} ${short(id)}`;
  const view = createView({ title, read, draw, kind: "job-page" });
  return view;
}

function head({ job, email, retries }, acts) {
  const user = link(address(`/users/${job.user_id}`), email ?? job.user_id);
  const made = retries.rows.map(({ id }) => [jobLink(id), " "]);
  return h(
    "header",
    { class: "page-head" },
    h("div", {}, h("h1", { tabindex: -1 }, toolName(job.tool), " ", badge(job.status))),
    h("div", { class: "acts" }, acts.retryButton(job, ""), acts.cancelButton(job, "")),
    facts([
      [t("job"), copyable(job.id)],
      [t("filter_user"), user],
      [t("when"), time(job.created_at)],
      [t("price"), number(job.credits_charged)],
      [t("refunded"), job.credits_refunded > 0 ? number(job.credits_refunded) : null],
      [t("took"), job.completed_at && gap(job.created_at, job.completed_at)],
      [t("retry_of"), job.retry_of && jobLink(job.retry_of)],
      [t("retried_as"), made.length ? made : null],
      [t("session"), job.session_id && h("code", {}, job.session_id)],
      [t("logs"), logs(job)],
    ]),
  );
}

/** A link to the functions' logs of the job, or the text to search the logs for. */
function logs({ id }) {
  const url = logsUrl?.replaceAll("{jobId}", encodeURIComponent(id));
  if (url?.startsWith("https://")) return link(url, t("logs_open"), { "data-logs": true });
  const hint = h("small", { class: "muted" }, t("logs_hint"));
  return h("span", { "data-logs": true }, copyable(`job_id = "${id}"`), hint);
}

function standing({ job, steps, load, places }) {
  if (steps.error || load.error) return problem(unread(steps.error ?? load.error));
  const provider = steps.rows.find(({ completed_at: end }) => !end)?.provider;
  const own = load.rows.find((row) => row.provider === provider);
  const text = sentence({ job, steps: steps.rows, load: own, place: places.rows[0] });
  const message = job.error_message && h("small", { lang: "en" }, job.error_message);
  return h(
    "p",
    { class: `standing ${job.status}` },
    h("span", { "data-why": true }, text),
    message,
  );
}

function output({ job, tasks }) {
  const media = results(job, tasks);
  if (media.length > 0) return h("div", { class: "media-list" }, media);
  if (job.output) return values(job.output, t("no_result"));
  return h("p", { class: "muted" }, t(isLive(job) ? "no_result_yet" : "no_result"));
}

function stepTable(steps) {
  const heads = [
    { text: t("step"), num: true },
    { text: t("filter_status") },
    { text: t("filter_provider") },
    { text: t("provider_id") },
    { text: t("attempts"), num: true },
    { text: t("handed_over"), num: true },
    { text: t("worked"), num: true },
    { text: t("stored"), num: true },
    { text: t("filter_error") },
  ];
  const line = (step) => {
    const done = step.provider_done_at ?? step.completed_at;
    const code = step.error_code && inWords("code", step.error_code);
    const why = code && h("span", { title: step.error_message }, code);
    return row(
      heads,
      [
        step.step,
        badge(step.status),
        link(address("/providers", {}), step.provider),
        step.provider_task_id ? copyable(step.provider_task_id) : "–",
        step.attempts,
        step.sent_at ? gap(step.sent_at, step.started_at) : "–",
        step.started_at ? gap(step.started_at, done) : "–",
        step.provider_done_at ? gap(step.provider_done_at, step.completed_at) : "–",
        why || "–",
      ],
      { "data-key": step.step, "data-step": step.step },
    );
  };
  return table(t("steps"), heads, h("tbody", {}, steps.map(line)));
}

function eventTable(events) {
  const heads = [
    { text: t("entry_at") },
    { text: t("gap"), num: true },
    { text: t("event") },
    { text: t("step"), num: true },
    { text: t("actor") },
  ];
  const line = (event, index) => {
    const before = events[index - 1];
    const code = event.detail?.error_code;
    const why = code !== "CANCELLED" && code;
    return row(
      heads,
      [
        moment(event.at),
        before ? `+${gap(before.at, event.at)}` : "",
        [inWords("event", event.event), why && h("small", {}, inWords("code", why))],
        event.step ?? "–",
        h("span", { title: event.actor }, actorName(event.actor)),
      ],
      { "data-key": event.id, "data-event": event.event },
    );
  };
  const whole = gap(events[0].at, events.at(-1).at);
  return [
    h("p", { class: "muted said" }, t("events_span", { n: events.length, time: whole })),
    table(t("events"), heads, h("tbody", {}, events.map(line))),
  ];
}
