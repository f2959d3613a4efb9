// The admin's page: how the system is, every job, cancel and retry. It shows what the database lets an admin read and
// calls what the functions let an admin do; the browser decides nothing.

import { chart } from "./chart.js";
import { healthStrip } from "./health.js";
import {
  ask,
  badge,
  brand,
  confirmed,
  duration,
  explain,
  h,
  icon,
  isAdmin,
  number,
  signedIn,
  signOut,
  supabase,
  time,
  toast,
  unread,
} from "./page.js";
import { t } from "./words.js";

const PAGE = 25;
const EVERY_MS = 10_000;
const CANCELS_MAX = 500;
const CANCELS_AT_ONCE = 4;
const LIVE = ["pending", "queued", "starting", "running"];
const STATUSES = [...LIVE, "completed", "failed", "cancelled"];
/** Minutes; negative: younger than. */
const AGES = [-60, -1440, 2, 10, 60, 1440];

const root = document.getElementById("root");
const user = await signedIn(root);
const top = (...end) =>
  h(
    "header",
    { class: "top" },
    brand(),
    h(
      "div",
      { class: "top-end" },
      end,
      h(
        "button",
        { type: "button", class: "button quiet", onclick: signOut, title: user.email },
        t("sign_out"),
      ),
    ),
  );

const admin = await isAdmin(user).catch((error) => error);
if (admin === true) await start();
else if (admin !== false)
  root.replaceChildren(
    top(),
    h("main", { class: "notice" }, h("p", { class: "problem", role: "alert" }, unread(admin))),
  );
else
  root.replaceChildren(
    top(),
    h(
      "main",
      { class: "notice" },
      h(
        "div",
        { class: "panel" },
        icon("alert", 32),
        h("h1", {}, t("not_allowed")),
        h("p", { class: "muted" }, t("not_allowed_text")),
        h("a", { class: "button", href: "/" }, t("studio")),
      ),
    ),
  );

async function start() {
  const { data: tools, error } = await supabase
    .from("tools")
    .select("tool, table_name")
    .order("tool");
  if (error)
    return root.replaceChildren(
      top(),
      h(
        "main",
        { class: "notice" },
        h("p", { class: "problem", role: "alert" }, t("error_network")),
      ),
    );
  const tables = Object.fromEntries(tools.map(({ tool, table_name }) => [tool, table_name]));

  const filter = { status: "", tool: "", user: "", age: "" };
  let page = 0;
  const body = h("tbody");
  const pages = h("span", { class: "muted" });
  const previous = h(
    "button",
    { type: "button", class: "button quiet", onclick: () => turn(-1) },
    t("previous"),
  );
  const next = h(
    "button",
    { type: "button", class: "button quiet", onclick: () => turn(1) },
    t("next"),
  );
  const cancelAll = h(
    "button",
    { type: "button", class: "button danger", disabled: true, onclick: cancelMany },
    t("cancel_all"),
  );
  const strip = h("section", { class: "health", "aria-label": t("health") });
  const hours = h("figure", { class: "panel chart" });
  const drawer = h("dialog", { class: "drawer", "aria-labelledby": "drawer-title" });

  function filtered(query) {
    if (filter.status === "live") query = query.in("status", LIVE);
    else if (filter.status) query = query.eq("status", filter.status);
    if (filter.tool) query = query.eq("tool", filter.tool);
    if (filter.user) query = query.eq("user_id", filter.user);
    if (filter.age) {
      const at = new Date(Date.now() - Math.abs(filter.age) * 60_000).toISOString();
      query = filter.age > 0 ? query.lte("created_at", at) : query.gte("created_at", at);
    }
    return query;
  }

  async function showJobs() {
    // One more than fits tells whether there is a next page, without counting a million rows.
    const { data, error } = await filtered(
      supabase
        .from("jobs")
        .select(
          "id, tool, user_id, status, credits_charged, credits_refunded, created_at, completed_at, deadline_at",
        ),
    )
      .order("created_at", { ascending: false })
      .range(page * PAGE, page * PAGE + PAGE);
    if (error) return body.replaceChildren(message(t("error_network")));
    const rows = data.slice(0, PAGE);
    const { data: steps, error: unknown } = await supabase
      .from("job_steps")
      .select("job_id, step, provider_task_id")
      .in(
        "job_id",
        rows.map(({ id }) => id),
      )
      .order("step");
    if (unknown) toast(unread(unknown), "bad");
    const task = new Map(
      (steps ?? [])
        .filter((step) => step.provider_task_id)
        .map((step) => [step.job_id, step.provider_task_id]),
    );
    body.replaceChildren(
      ...(rows.length ? rows.map((job) => row(job, task.get(job.id))) : [message(t("no_jobs"))]),
    );
    pages.textContent = t("page", { n: page + 1 });
    previous.disabled = page === 0;
    next.disabled = data.length <= PAGE;
    cancelAll.disabled = !rows.some(({ status }) => LIVE.includes(status));
  }

  const problem = (error) => h("p", { class: "problem", role: "alert" }, unread(error));
  const message = (text) => h("tr", {}, h("td", { colspan: 7, class: "empty muted" }, text));

  function row(job, task) {
    const live = LIVE.includes(job.status);
    const late = live && job.status !== "pending" && Date.parse(job.deadline_at) < Date.now();
    const seconds =
      ((job.completed_at ? Date.parse(job.completed_at) : Date.now()) -
        Date.parse(job.created_at)) /
      1000;
    const again =
      (late || !live) &&
      h(
        "button",
        {
          type: "button",
          class: "button quiet small",
          "data-retry": job.id,
          onclick: (event) => retry(event.target, job),
        },
        t("retry"),
      );
    const stop =
      live &&
      h(
        "button",
        {
          type: "button",
          class: "button danger small",
          "data-cancel": job.id,
          onclick: (event) => cancelOne(event.target, job),
        },
        t("cancel"),
      );
    return h(
      "tr",
      { "data-job": job.id, "data-status": job.status },
      h(
        "td",
        {},
        h(
          "button",
          { type: "button", class: "link", onclick: () => open(job) },
          t.maybe(`tool_${job.tool}`) ?? job.tool,
        ),
        h("code", { title: job.id }, job.id.slice(0, 8)),
      ),
      h("td", {}, badge(job.status)),
      h(
        "td",
        {},
        h(
          "button",
          {
            type: "button",
            class: "link code",
            title: t("only_user", { user: job.user_id }),
            onclick: () => ((form.elements.user.value = job.user_id), form.requestSubmit()),
          },
          shortened(job.user_id),
        ),
      ),
      h(
        "td",
        { class: "num" },
        number(job.credits_charged),
        job.credits_refunded > 0 &&
          h("small", { class: "good" }, `−${number(job.credits_refunded)}`),
      ),
      h("td", { class: "num", title: job.created_at }, duration(seconds)),
      h("td", {}, task ? h("code", {}, task) : h("span", { class: "muted" }, "–")),
      h("td", { class: "end" }, again, stop),
    );
  }

  const act = (name, job) => ask(name, { table: tables[job.tool], jobId: job.id });

  async function cancelOne(button, job) {
    const paid = job.credits_charged - job.credits_refunded;
    if (
      !(await confirmed(
        t("ask_cancel"),
        t("ask_cancel_text", { n: paid, tool: t.maybe(`tool_${job.tool}`) ?? job.tool }),
        t("ask_cancel_yes"),
      ))
    )
      return;
    button.disabled = true;
    const { ok, answer } = await act("admin-cancel-job", job);
    if (ok) toast(t("job_cancelled", { n: answer.refundedCredits }));
    else if (answer.code === "already_final")
      toast(
        t("already_over", { status: t(`status_${answer.status}`), n: answer.refundedCredits }),
        "bad",
      );
    else toast(explain({ code: answer.code, message: answer.message, details: answer }), "bad");
    await refresh();
  }

  async function cancelMany() {
    const { data, error } = await filtered(
      supabase.from("jobs").select("id, tool, credits_charged, credits_refunded"),
    )
      .in("status", LIVE)
      .order("created_at")
      .limit(CANCELS_MAX);
    if (error) return toast(t("error_network"), "bad");
    const paid = data.reduce((sum, job) => sum + job.credits_charged - job.credits_refunded, 0);
    if (
      data.length === 0 ||
      !(await confirmed(
        t("ask_cancel_many", { n: data.length }),
        t("ask_cancel_many_text", { n: paid }),
        t("ask_cancel_many_yes", { n: data.length }),
      ))
    )
      return;
    cancelAll.disabled = true;
    let [cancelled, refunded] = [0, 0];
    const queue = [...data];
    const worker = async () => {
      for (let job = queue.pop(); job; job = queue.pop()) {
        const { ok, answer, retryAfter } = await act("admin-cancel-job", job);
        // So many calls a minute and no more: the rest follows then.
        if (answer.code === "rate_limited") {
          queue.push(job);
          await new Promise((resolve) => setTimeout(resolve, Math.max(1, retryAfter) * 1000));
        } else if (ok) [cancelled, refunded] = [cancelled + 1, refunded + answer.refundedCredits];
      }
    };
    await Promise.all(Array.from({ length: CANCELS_AT_ONCE }, worker));
    toast(
      t("jobs_cancelled", { n: cancelled, credits: number(refunded) }),
      cancelled === data.length ? "good" : "bad",
    );
    await refresh();
  }

  async function retry(button, job) {
    button.disabled = true;
    const { ok, answer } = await act("admin-retry-job", job);
    if (ok) toast(t(answer.retried ? "job_requeued" : "job_retried"));
    else toast(explain({ code: answer.code, message: answer.message, details: answer }), "bad");
    await refresh();
  }

  /** Everything that happened to a job, and its money. */
  async function open(job) {
    const [{ data: events, error: noEvents }, { data: receipt, error: noReceipt }] =
      await Promise.all([
        supabase
          .from("job_events")
          .select("id, at, step, run, event, from_status, to_status, actor")
          .eq("job_id", job.id)
          .order("id"),
        supabase
          .from("job_receipts")
          .select("entries, output_url, error_message")
          .eq("job_id", job.id)
          .maybeSingle(),
      ]);
    const event = (one) =>
      h(
        "tr",
        {},
        h("td", {}, time(one.at)),
        h("td", {}, one.event),
        h("td", { class: "num" }, one.step ?? ""),
        h("td", { class: "num" }, one.run ?? ""),
        h("td", {}, [one.from_status, one.to_status].filter(Boolean).join(" → ")),
        h("td", { class: "muted" }, one.actor ?? ""),
      );
    const entry = (one) =>
      h(
        "tr",
        {},
        h("td", {}, time(one.at)),
        h("td", {}, t(`entry_${one.kind}`)),
        h("td", { class: "num" }, number(one.amount)),
        h("td", { class: "num" }, number(one.balance_after)),
        h("td", { class: "muted" }, one.reason ?? ""),
      );
    const table = (heads, rows) =>
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "group", "aria-label": t(heads[0]) },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              heads.slice(1).map((key) => h("th", { scope: "col" }, t(key))),
            ),
          ),
          h("tbody", {}, rows),
        ),
      );
    drawer.replaceChildren(
      h(
        "header",
        {},
        h(
          "div",
          {},
          h(
            "h2",
            { id: "drawer-title" },
            t.maybe(`tool_${job.tool}`) ?? job.tool,
            " ",
            badge(job.status),
          ),
          h("code", {}, job.id),
        ),
        h(
          "button",
          {
            type: "button",
            class: "button quiet",
            "aria-label": t("close"),
            onclick: () => drawer.close(),
          },
          icon("close"),
        ),
      ),
      receipt?.error_message && h("p", { class: "problem" }, receipt.error_message),
      h("h3", {}, t("ledger")),
      noReceipt
        ? problem(noReceipt)
        : receipt?.entries
          ? table(
              ["ledger", "entry_at", "entry_what", "entry_amount", "entry_balance", "entry_reason"],
              receipt.entries.map(entry),
            )
          : h("p", { class: "muted" }, t("not_charged")),
      h("h3", {}, t("events")),
      noEvents
        ? problem(noEvents)
        : table(
            ["events", "entry_at", "event", "step", "run", "change", "actor"],
            events.map(event),
          ),
      receipt?.output_url
        ? h(
            "p",
            {},
            h("a", { href: receipt.output_url, target: "_blank", rel: "noopener" }, t("result")),
          )
        : "",
    );
    drawer.showModal();
  }

  function turn(by) {
    page += by;
    showJobs();
  }

  const option = (value, text) => h("option", { value }, text);
  const select = (name, options) =>
    h(
      "label",
      { class: "field" },
      h("span", {}, t(`filter_${name}`)),
      h("select", { name, onchange: () => form.requestSubmit() }, option("", t("all")), options),
    );
  const age = (minutes) =>
    option(
      minutes,
      t(minutes > 0 ? "older_than" : "younger_than", { time: duration(Math.abs(minutes) * 60) }),
    );
  const form = h(
    "form",
    {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        Object.assign(filter, Object.fromEntries(new FormData(form)));
        filter.user = filter.user.trim();
        page = 0;
        showJobs();
      },
    },
    select("status", [
      option("live", t("status_live")),
      STATUSES.map((status) => option(status, t(`status_${status}`))),
    ]),
    select(
      "tool",
      tools.map(({ tool }) => option(tool, t.maybe(`tool_${tool}`) ?? tool)),
    ),
    select("age", AGES.map(age)),
    h(
      "label",
      { class: "field grow" },
      h("span", {}, t("filter_user")),
      h("input", {
        name: "user",
        type: "search",
        placeholder: "00000000-0000-…",
        pattern: "\\s*[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\\s*",
        spellcheck: "false",
      }),
    ),
    cancelAll,
  );
  const head = ["job", "filter_status", "filter_user", "credits_head", "age", "provider_id"].map(
    (key, index) => h("th", { scope: "col", class: (index === 3 || index === 4) && "num" }, t(key)),
  );

  async function refresh() {
    await Promise.all([showJobs(), healthStrip(strip), chart(hours)]);
  }
  root.replaceChildren(
    top(h("a", { class: "button quiet", href: "/" }, t("studio"))),
    h(
      "main",
      { class: "admin" },
      h("h1", {}, t("admin_title")),
      strip,
      hours,
      h(
        "section",
        { class: "panel jobs", "aria-labelledby": "jobs-title" },
        h("h2", { id: "jobs-title" }, t("jobs")),
        form,
        h(
          "div",
          { class: "scroll", tabindex: 0, role: "group", "aria-label": t("jobs") },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                head,
                h("th", { scope: "col" }, h("span", { class: "sr" }, t("actions"))),
              ),
            ),
            body,
          ),
        ),
        h("footer", { class: "pages" }, pages, previous, next),
      ),
    ),
    drawer,
  );
  await refresh();
  setInterval(() => {
    // Nothing moves under somebody who reads a further page or answers a question.
    if (document.visibilityState === "visible" && !document.querySelector("dialog[open]"))
      page === 0 ? refresh() : healthStrip(strip);
  }, EVERY_MS);
}

function shortened(id) {
  return `${id.slice(0, 4)}…${id.slice(-4)}`;
}
