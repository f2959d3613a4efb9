// The studio: choose a tool, drop a picture, follow the job, keep the result. client.js does
// everything about jobs.

import { endpoints } from "./client.js";
import { button, h, toast, topBar } from "./elements.js";
import { explain, unread } from "./format.js";
import { ask, isAdmin, signOut, supabase } from "./project.js";
import { signedIn } from "./sign_in.js";
import { createCredits } from "./studio/credits.js";
import { createHistory } from "./studio/history.js";
import { jobs } from "./studio/jobs.js";
import { missingCredits } from "./studio/offer.js";
import { createShop, packsOnSale } from "./studio/shop.js";
import { createStage } from "./studio/stage.js";
import { createToolbar } from "./studio/toolbar.js";
import { declared } from "./studio/tools.js";
import { createWallet } from "./studio/wallet.js";
import { t } from "./words.js";

const FINAL = ["done", "failed", "cancelled"];
/** The address of the page of credits. */
const CREDITS = "#credits";

const root = document.getElementById("root");
const user = await signedIn(root);

const [admin, packs] = await Promise.all([isAdmin(user).catch(() => false), packsOnSale()]);
const wallet = createWallet(CREDITS);
const shop = createShop({ user, wallet, packs });
const stage = createStage();
const toolbar = createToolbar({
  wallet,
  canBuy: shop.sells,
  onorder: run,
  onmissing: getCredits,
});
wallet.onchange(toolbar.refresh);
const history = createHistory(user, reopen);
const credits = createCredits({ wallet, getCredits: shop.sells && getCredits });

/** The jobs that this page follows, by id. */
const live = new Map();
/** The id of the job on the stage. */
let shown = null;

function show(update, job) {
  shown = update.id;
  const cancel = job && (() => job.cancel().catch((error) => toast(explain(error), "bad")));
  stage.show(update, { again: toolbar.focusForm, cancel, ...remedies(update) });
}

/** What helps an order that was refused for its price. */
function remedies({ tool, input, error }) {
  if (error?.code === "price_changed") {
    const { credits: maxCredits } = error.details;
    return { agree: () => run(tool, input, { maxCredits }) };
  }
  if (error?.code !== "insufficient_credits" || !shop.sells) return {};
  const { balance, required, debt } = error.details;
  const price = { lowest: required, unmeasured: null, balance, enough: balance >= required };
  return { buy: () => getCredits(missingCredits(price, { debt })) };
}

function getCredits(missing) {
  shop.open(missing, toolbar.draft()).catch((error) => toast(explain(error), "bad"));
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
    if (state !== "uploading") Promise.all([wallet.refresh(), history.refresh()]);
    if (update.error) toolbar.refresh();
  });
}

function run(tool, input, limits) {
  follow(jobs.run(tool, input, limits));
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

function top() {
  return topBar(
    wallet.pill,
    admin && h("a", { class: "button quiet", href: "/admin" }, t("admin")),
    button(t("sign_out"), signOut, "quiet", { title: user.email }),
  );
}

/** Shows the page that the address names; Back leads from the credits to the studio as it was. */
function route() {
  const isCredits = location.hash === CREDITS;
  if (isCredits === studio.hidden) return;
  if (isCredits) studioTop = scrollY;
  studio.hidden = isCredits;
  credits.element.hidden = !isCredits;
  document.title = isCredits ? `${t("credits_title")} · Unstuck` : title;
  wallet.pill.ariaCurrent = isCredits ? "page" : null;
  scrollTo(0, isCredits ? 0 : studioTop);
  if (isCredits) credits.show();
  (isCredits ? credits.title : wallet.pill).focus({ preventScroll: true });
}

const { title } = document;
let studioTop = 0;
const studio = h(
  "main",
  { class: "studio" },
  h("h1", { class: "sr" }, t("studio")),
  h("section", { class: "panel create", "aria-label": t("create") }, toolbar.elements),
  h("div", { class: "show" }, stage.place, stage.spoken, history.element),
);
credits.element.hidden = true;
root.replaceChildren(top(), studio, credits.element);
addEventListener("hashchange", route);

const draft = await shop.returned();
route();
await Promise.all([toolbar.show(draft), wallet.refresh(), history.refresh()]);
// Oldest first, so that the newest ends up on the stage.
for (const job of (await jobs.resume()).reverse()) follow(job);
