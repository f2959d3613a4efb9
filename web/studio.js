// The studio: choose a tool, drop a picture, follow the job, keep the result. Everything about jobs is client.js's.

import { createJobs } from "./client.js";
import { toolForm } from "./form.js";
import {
  ask,
  badge,
  brand,
  explain,
  functionsUrl,
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
import { nothing, spoken, stage } from "./stage.js";
import { FORMS } from "./tools.js";
import { t } from "./words.js";

const PAGE = 8;
const root = document.getElementById("root");
const user = await signedIn(root);
const jobs = createJobs(supabase, { functionsUrl });

const balance = h("strong", { "data-balance": "" }, "…");
const place = h("section", { class: "stage", "aria-label": t("result") });
const aloud = h("p", { class: "sr", role: "status" });
const toolbar = h("div", { class: "tools", role: "group", "aria-label": t("tool") });
const panel = h("div", { class: "tool-panel" });
const history = h("ol", { class: "history-list" });
const more = h(
  "button",
  { type: "button", class: "button quiet", hidden: true, onclick: () => showHistory(true) },
  t("more"),
);

/** Jobs at work on this page, by id; and the one on the stage. */
const live = new Map();
let shown = null;

let painted = {};
/** Draws only what is new, so that nothing flickers and the keyboard stays where it is. */
function show(update, possible) {
  shown = update.id;
  const face = JSON.stringify([
    update.progress,
    update.position,
    update.etaSeconds,
    update.step,
    update.answer.tasks,
    update.outputUrl,
  ]);
  const entered = painted.id !== update.id || painted.state !== update.state;
  if (!entered && painted.face === face) return;
  const focused = place.contains(document.activeElement) && document.activeElement.textContent;
  place.replaceChildren(stage(update, possible));
  place.firstChild.classList.toggle("entered", entered);
  if (focused)
    [...place.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
  if (entered || painted.position !== update.position) aloud.textContent = spoken(update);
  painted = { id: update.id, state: update.state, position: update.position, face };
}

async function refreshBalance() {
  const { data, error } = await supabase
    .from("credit_accounts")
    .select("balance")
    .eq("user_id", user.id)
    .maybeSingle();
  balance.textContent = error ? "–" : number(data?.balance ?? 0);
}

/** What can be done with a job on the stage. */
const actions = (job) => ({
  again: focusForm,
  cancel: job && (() => job.cancel().catch((error) => toast(explain(error), "bad"))),
});

function follow(job) {
  live.set(job.id, job);
  shown = job.id;
  let state = null;
  job.subscribe((update) => {
    if (shown === job.id) show(update, actions(job));
    if (update.state === state) return;
    state = update.state;
    if (["done", "failed", "cancelled"].includes(state)) live.delete(job.id);
    if (state !== "uploading") Promise.all([refreshBalance(), showHistory()]);
  });
}

function focusForm() {
  panel.querySelector("input, textarea")?.focus();
  panel.scrollIntoView({ behavior: "smooth", block: "start" });
}

function run(tool, input) {
  follow(jobs.run(tool, input));
  if (matchMedia("(max-width: 60rem)").matches) place.scrollIntoView({ behavior: "smooth" });
}

async function showTools() {
  const { data, error } = await supabase
    .from("tools")
    .select("tool, credit_cost, priced_per")
    .eq("enabled", true)
    .order("tool");
  if (error)
    return panel.replaceChildren(h("p", { class: "problem", role: "alert" }, t("error_network")));
  const offered = Object.keys(FORMS)
    .map((name) => data.find(({ tool }) => tool === name))
    .filter(Boolean);
  if (offered.length === 0) return panel.replaceChildren(h("p", { class: "muted" }, t("no_tools")));
  const choose = (tool) => {
    for (const button of toolbar.children)
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool.tool));
    panel.replaceChildren(
      h("h2", {}, t(`tool_${tool.tool}`)),
      h("p", { class: "muted" }, t(`about_${tool.tool}`)),
      toolForm(tool, (input) => run(tool.tool, input)),
    );
  };
  toolbar.replaceChildren(
    ...offered.map((tool) =>
      h(
        "button",
        {
          type: "button",
          class: "tool",
          "data-tool": tool.tool,
          "aria-pressed": "false",
          onclick: () => choose(tool),
        },
        icon(FORMS[tool.tool].icon),
        h("span", {}, t(`tool_${tool.tool}`)),
        h(
          "small",
          {},
          t(tool.priced_per === "step" ? "credits_each" : "credits", { n: tool.credit_cost }),
        ),
      ),
    ),
  );
  toolbar.hidden = offered.length < 2;
  choose(offered[0]);
}

let pages = 1;
async function showHistory(further = false) {
  if (further) pages += 1;
  const { data, error } = await supabase
    .from("job_receipts")
    .select("*")
    .eq("user_id", user.id)
    .order("created_at", { ascending: false })
    .range(0, pages * PAGE);
  if (error) return history.replaceChildren(h("li", { class: "problem" }, t("error_network")));
  more.hidden = data.length <= pages * PAGE;
  const open = new Set(
    [...history.querySelectorAll("details[open]")].map((details) => details.dataset.job),
  );
  history.replaceChildren(
    ...(data.length
      ? data.slice(0, pages * PAGE).map((receipt) => row(receipt, open))
      : [h("li", { class: "muted empty" }, t("history_empty"))]),
  );
}

function row(receipt, open) {
  const pictured = receipt.output_url && !["video", "site"].includes(FORMS[receipt.tool]?.icon);
  const picture = pictured
    ? h("img", { src: receipt.output_url, alt: "", loading: "lazy" })
    : icon(FORMS[receipt.tool]?.icon ?? "coin", 22);
  const entry = ({ at, kind, amount, balance_after }) =>
    h(
      "tr",
      {},
      h("td", {}, time(at)),
      h("td", {}, t(`entry_${kind}`)),
      h("td", { class: "num" }, `${amount > 0 ? "+" : "−"}${number(Math.abs(amount))}`),
      h("td", { class: "num" }, number(balance_after)),
    );
  const head = ["entry_at", "entry_what", "entry_amount", "entry_balance"].map((key, index) =>
    h("th", { scope: "col", class: index > 1 && "num" }, t(key)),
  );
  const details = h(
    "details",
    { "data-job": receipt.job_id, open: open.has(receipt.job_id) },
    h("summary", {}, t("receipt")),
    receipt.error_message && h("p", { class: "small" }, receipt.error_message),
    receipt.entries
      ? h(
          "table",
          {},
          h("thead", {}, h("tr", {}, head)),
          h("tbody", {}, receipt.entries.map(entry)),
        )
      : h("p", { class: "muted small" }, t("not_charged")),
  );
  return h(
    "li",
    { class: "history-row", "data-job": receipt.job_id },
    h(
      "button",
      {
        type: "button",
        class: "history-open",
        "aria-label": t("open", { what: t(`tool_${receipt.tool}`) }),
        onclick: () => reopen(receipt),
      },
      h("span", { class: "thumb" }, picture),
    ),
    h(
      "div",
      { class: "history-text" },
      h("strong", {}, t(`tool_${receipt.tool}`)),
      time(receipt.created_at),
    ),
    h(
      "div",
      { class: "history-end" },
      badge(receipt.status),
      h("span", { class: "paid" }, icon("coin", 14), number(receipt.credits_paid)),
    ),
    details,
  );
}

/** A job of the past on the stage; one at work as it is now. */
async function reopen(receipt) {
  const job = live.get(receipt.job_id);
  if (job) show(job.update, actions(job));
  else {
    const { data, error } = await supabase
      .from("jobs")
      .select("input, tool")
      .eq("id", receipt.job_id)
      .single();
    if (error) toast(unread(error), "bad");
    const [, code, text] = receipt.error_message?.match(/^([A-Z_]+): ?(.*)$/s) ?? [];
    const state =
      { completed: "done", failed: "failed", cancelled: "cancelled" }[receipt.status] ?? "running";
    const answer = state === "done" && (await look(receipt));
    show(
      {
        id: receipt.job_id,
        tool: receipt.tool,
        state,
        input: data?.input ?? {},
        answer: answer || {},
        outputUrl: receipt.output_url,
        step: null,
        totalSteps: null,
        creditsCharged: receipt.credits_charged,
        creditsRefunded: receipt.credits_refunded,
        error: code && { code, message: text },
      },
      actions(null),
    );
  }
  place.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

/** What only the function shows: cards and files. */
async function look({ tool, job_id: id }) {
  const name =
    { "create-generation-job-banana": `${tool}?jobId=${id}` }[tool] ??
    (tool.startsWith("generate-") ? `${tool}?id=${id}` : null);
  return name && (await ask(name)).answer;
}

const admin = await isAdmin(user).catch(() => false);
root.replaceChildren(
  h(
    "header",
    { class: "top" },
    brand(),
    h(
      "div",
      { class: "top-end" },
      h(
        "span",
        { class: "balance" },
        icon("coin", 18),
        balance,
        h("span", { class: "sr" }, t("credits_left")),
      ),
      admin && h("a", { class: "button quiet", href: "/admin" }, t("admin")),
      h(
        "button",
        { type: "button", class: "button quiet", onclick: signOut, title: user.email },
        t("sign_out"),
      ),
    ),
  ),
  h(
    "main",
    { class: "studio" },
    h("h1", { class: "sr" }, t("studio")),
    h("section", { class: "panel create", "aria-label": t("create") }, toolbar, panel),
    h(
      "div",
      { class: "show" },
      place,
      aloud,
      h(
        "section",
        { class: "panel history", "aria-labelledby": "history-title" },
        h("h2", { id: "history-title" }, t("history")),
        history,
        more,
      ),
    ),
  ),
);
place.append(nothing());

await Promise.all([showTools(), refreshBalance(), showHistory()]);
// Oldest first, so that the newest ends up on the stage.
for (const job of (await jobs.resume()).reverse()) follow(job);
