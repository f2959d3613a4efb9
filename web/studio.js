// The studio: choose a tool, drop a picture, follow the job, keep the result. client.js does
// everything about jobs.

import { createJobs, endpoints } from "./client.js";
import { button, h, icon, toast, topBar } from "./elements.js";
import { explain, number, unread } from "./format.js";
import { ask, functionsUrl, isAdmin, signOut, supabase } from "./project.js";
import { signedIn } from "./sign_in.js";
import { createHistory } from "./studio/history.js";
import { createStage } from "./studio/stage.js";
import { createToolbar } from "./studio/toolbar.js";
import { declared } from "./studio/tools.js";
import { t } from "./words.js";

const FINAL = ["done", "failed", "cancelled"];

const root = document.getElementById("root");
const user = await signedIn(root);
const jobs = createJobs(supabase, { functionsUrl });

const balance = h("strong", { "data-balance": "" }, "…");
const stage = createStage();
const toolbar = createToolbar(run);
const history = createHistory(user, reopen);

/** The jobs that this page follows, by id. */
const live = new Map();
/** The id of the job on the stage. */
let shown = null;

async function refreshBalance() {
  const { data, error } = await supabase
    .from("credit_accounts")
    .select("balance")
    .eq("user_id", user.id)
    .maybeSingle();
  balance.textContent = error ? "–" : number(data?.balance ?? 0);
}

function show(update, job) {
  shown = update.id;
  const cancel = job && (() => job.cancel().catch((error) => toast(explain(error), "bad")));
  stage.show(update, { again: toolbar.focusForm, cancel });
}

function follow(job) {
  live.set(job.id, job);
  shown = job.id;
  let state = null;
  job.subscribe((update) => {
    if (shown === job.id) show(update, job);
    if (update.state === state) return;
    state = update.state;
    if (FINAL.includes(state)) live.delete(job.id);
    if (state !== "uploading") Promise.all([refreshBalance(), history.refresh()]);
  });
}

function run(tool, input) {
  follow(jobs.run(tool, input));
  const narrow = matchMedia("(max-width: 60rem)").matches;
  if (narrow) stage.place.scrollIntoView({ behavior: "smooth" });
}

/** Shows an earlier job on the stage; one that this page follows, as it is now. */
async function reopen(receipt) {
  const job = live.get(receipt.job_id);
  show(job?.update ?? (await past(receipt)), job);
  stage.place.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

/** The last update of a job, from its receipt. */
async function past(receipt) {
  const { data, error } = await supabase
    .from("jobs")
    .select("input, tool")
    .eq("id", receipt.job_id)
    .single();
  if (error) toast(unread(error), "bad");
  const [, code, message] = receipt.error_message?.match(/^([A-Z_]+): ?(.*)$/s) ?? [];
  const states = { completed: "done", failed: "failed", cancelled: "cancelled" };
  const state = states[receipt.status] ?? "running";
  return {
    id: receipt.job_id,
    tool: receipt.tool,
    state,
    input: data?.input ?? {},
    answer: (state === "done" && (await answerOf(receipt))) || {},
    outputUrl: receipt.output_url,
    step: null,
    totalSteps: null,
    creditsCharged: receipt.credits_charged,
    creditsRefunded: receipt.credits_refunded,
    error: code && { code, message },
  };
}

/** What only the function shows of a done job: its cards or files. */
async function answerOf({ tool, job_id: id }) {
  if (!["cards", "files"].includes(declared(tool).result)) return null;
  const query = supabase.from("tools").select("table_name").eq("tool", tool).single();
  const { data } = await query;
  return (await ask(endpoints(tool, data?.table_name).status + id)).answer;
}

function top(admin) {
  const credits = [icon("coin", 18), balance, h("span", { class: "sr" }, t("credits_left"))];
  return topBar(
    h("span", { class: "balance" }, credits),
    admin && h("a", { class: "button quiet", href: "/admin" }, t("admin")),
    button(t("sign_out"), signOut, "quiet", { title: user.email }),
  );
}

const admin = await isAdmin(user).catch(() => false);
root.replaceChildren(
  top(admin),
  h(
    "main",
    { class: "studio" },
    h("h1", { class: "sr" }, t("studio")),
    h("section", { class: "panel create", "aria-label": t("create") }, toolbar.elements),
    h("div", { class: "show" }, stage.place, stage.spoken, history.element),
  ),
);

await Promise.all([toolbar.show(), refreshBalance(), history.refresh()]);
// Oldest first, so that the newest ends up on the stage.
for (const job of (await jobs.resume()).reverse()) follow(job);
