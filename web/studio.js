// The studio: choose a tool, drop a picture, follow the job, save the result. client.js does the
// work with jobs.

import { button, h, toast, topBar } from "./elements.js";
import { explain } from "./format.js";
import { isAdmin, signOut } from "./project.js";
import { signedIn } from "./sign_in.js";
import { createCredits } from "./studio/credits.js";
import { createHistory } from "./studio/history.js";
import { valuesOf } from "./studio/input.js";
import { jobs } from "./studio/jobs.js";
import { tellEnd } from "./studio/notice.js";
import { missingCredits } from "./studio/offer.js";
import { begun, learn } from "./studio/pace.js";
import { createShop, packsOnSale } from "./studio/shop.js";
import { createStage } from "./studio/stage.js";
import { createTitle } from "./studio/title.js";
import { createToolbar } from "./studio/toolbar.js";
import { createWallet } from "./studio/wallet.js";
import { t } from "./words.js";

const FINAL = ["done", "failed", "cancelled"];
/** The URL fragment of the page of credits. */
const CREDITS = "#credits";

const root = document.getElementById("root");
const user = await signedIn(root);

const [admin, packs] = await Promise.all([isAdmin(user).catch(() => false), packsOnSale()]);
const title = createTitle();
const wallet = createWallet(CREDITS);
const shop = createShop({ user, wallet, packs });
const stage = createStage();
const earlier = createHistory({ onopen: open, onagain: reuse });
const toolbar = createToolbar({
  user,
  wallet,
  canBuy: shop.sells,
  onorder: run,
  onmissing: getCredits,
  ontools: earlier.offer,
});
wallet.onchange(toolbar.refresh);
const credits = createCredits({ wallet, getCredits: shop.sells && getCredits });

/** The jobs that this page follows, by id. */
const live = new Map();
/** The id of the job on the stage, and of the job that was last written into the URL. */
let [shown, addressed] = [null, null];

function show(update, job) {
  shown = update.id;
  title.show(update);
  const cancel = job && (() => job.cancel().catch((error) => toast(explain(error), "bad")));
  const again = { again: toolbar.focusForm, reuse: canReuse(update) && (() => reuse(update)) };
  stage.show(update, { cancel, ...again, ...remedies(update) });
}

const canReuse = ({ tool, input }) => valuesOf(tool, input) !== null;

/** Fills the form with the input of an earlier job. */
function reuse({ tool, input }) {
  if (toolbar.take({ tool, values: valuesOf(tool, input) })) toolbar.focusForm();
  else toast(t("error_tool_disabled"), "bad");
}

/**
 * The actions that let the user repeat an order that was refused for its price or for missing
 * credits.
 */
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

function follow(job, isShown = true) {
  live.set(job.id, job);
  if (isShown) shown = job.id;
  let state = null;
  job.subscribe((update) => {
    begun(update);
    if (shown === job.id) show(update, job);
    if (update.state === state) return;
    state = update.state;
    if (FINAL.includes(state)) ended(update);
    if (state !== "uploading") Promise.all([wallet.refresh(), earlier.refresh()]);
    if (shown === job.id && state !== "uploading") setAddress(job.id);
    if (update.error) toolbar.refresh();
  });
}

function ended(update) {
  live.delete(update.id);
  tellEnd(update);
  if (update.state === "done") learn().catch(() => {});
}

/** Orders. Resolves once the job has left the state `uploading`: the order was answered. */
function run(tool, input, limits) {
  const job = jobs.run(tool, input, limits);
  const answered = new Promise((resolve) => {
    job.subscribe(({ state }) => state !== "uploading" && resolve());
  });
  follow(job);
  const narrow = matchMedia("(max-width: 60rem)").matches;
  if (narrow) stage.place.scrollIntoView({ behavior: "smooth" });
  return answered;
}

const jobOf = (address) => new URLSearchParams(address.search).get("job");

/**
 * Writes the job into the URL: as a new entry of the browser's history, or in place of the present
 * one.
 */
function setAddress(id, isNew = false) {
  addressed = id;
  if (jobOf(location) === id) return;
  const address = `${location.pathname}?job=${id}${location.hash}`;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

/** Shows an earlier job on the stage, live if this page follows it. */
async function open(id) {
  setAddress(id, true);
  await showJob(id);
  stage.place.scrollIntoView({ behavior: "smooth", block: "nearest" });
}

async function showJob(id) {
  try {
    const job = live.get(id) ?? (await jobs.job(id));
    // The user has opened another job in the meantime.
    if (jobOf(location) !== id) return;
    if (live.has(id)) show(job.update, job);
    else if (FINAL.includes(job.update.state)) show(job.update);
    else follow(job);
  } catch (error) {
    if (jobOf(location) !== id) return;
    toast(explain(error), "bad");
    history.replaceState(null, "", location.pathname + location.hash);
  }
}

function top() {
  return topBar(
    wallet.pill,
    admin && h("a", { class: "button quiet", href: "/admin" }, t("admin")),
    button(t("sign_out"), signOut, "quiet", { title: user.email }),
  );
}

/**
 * Shows the studio or the page of credits, as the URL says. Back restores the studio's scroll
 * position.
 */
function showPage() {
  const isCredits = location.hash === CREDITS;
  if (isCredits === studio.hidden) return;
  if (isCredits) studioTop = scrollY;
  studio.hidden = isCredits;
  credits.element.hidden = !isCredits;
  title.page(isCredits ? t("credits_title") : null);
  wallet.pill.ariaCurrent = isCredits ? "page" : null;
  scrollTo(0, isCredits ? 0 : studioTop);
  if (isCredits) credits.show();
  (isCredits ? credits.title : wallet.pill).focus({ preventScroll: true });
}

/** Shows the page and the job that the URL names. */
function route() {
  showPage();
  const named = jobOf(location);
  if (named && named !== shown) return showJob(named);
  if (named || shown !== addressed || live.has(shown)) return;
  shown = null;
  title.show(null);
  stage.clear();
}

let studioTop = 0;
const studio = h(
  "main",
  { class: "studio" },
  h("h1", { class: "sr" }, t("studio")),
  h("section", { class: "panel create", "aria-label": t("create") }, toolbar.elements),
  h("div", { class: "show" }, stage.place, stage.spoken, earlier.element),
);
credits.element.hidden = true;
root.replaceChildren(top(), studio, credits.element);
addEventListener("popstate", route);

const draft = await shop.returned();
showPage();
await learn().catch(() => {});
await Promise.all([toolbar.show(draft), wallet.refresh(), earlier.refresh()]);
// The newest job is followed last, so that it ends up on the stage, unless the URL names another
// one.
const named = jobOf(location);
const resumed = await jobs.resume().catch((error) => {
  toast(explain(error), "bad");
  return [];
});
// A job that was ordered in the meantime is followed already, and stays on the stage.
const isFree = live.size === 0;
for (const job of resumed.reverse()) if (!live.has(job.id)) follow(job, isFree);
if (named) setAddress(named);
route();
