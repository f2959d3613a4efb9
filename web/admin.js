// The admin page: every job, every user, and what an operator can do about them. It reads what the
// database lets an admin read and calls the functions for admins; the browser decides nothing.

import { createJob } from "./admin/job.js";
import { createLog } from "./admin/log.js";
import { createMoney } from "./admin/money.js";
import { UUID } from "./admin/names.js";
import { createJobList, createOverview } from "./admin/overview.js";
import { createProviders } from "./admin/providers.js";
import { createQuestions } from "./admin/questions.js";
import { address, onaddress, path } from "./admin/router.js";
import { createSearch, searchBox } from "./admin/search.js";
import { createTools } from "./admin/tools.js";
import { createUser } from "./admin/user.js";
import { createViolations } from "./admin/violations.js";
import "./admin/words.js";
import { button, h, icon, problem, topBar } from "./elements.js";
import { unread } from "./format.js";
import { isAdmin, signOut, supabase } from "./project.js";
import { signedIn } from "./sign_in.js";
import { t } from "./words.js";

const ID = `(${UUID})`;
const PAGES = [
  ["", createOverview],
  ["/jobs", createJobList],
  [`/jobs/${ID}`, createJob],
  [`/users/${ID}`, createUser],
  ["/search", createSearch],
  ["/money", createMoney],
  ["/providers", createProviders],
  ["/tools", createTools],
  ["/log", createLog],
  ["/violations", createViolations],
  ["/questions", createQuestions],
  ["/questions/(\\d+)", createQuestions],
];
const TABS = ["", "/jobs", "/money", "/providers", "/tools", "/log"];

const root = document.getElementById("root");
const user = await signedIn(root);
const admin = await isAdmin(user).catch((error) => error);
if (admin === true) await start();
else if (admin === false) notice(notAllowed());
else notice(problem(unread(admin)));

async function start() {
  const { data: tools, error } = await supabase
    .from("tools")
    .select("tool, table_name, provider")
    .order("tool");
  if (error) return notice(problem(unread(error)));
  const main = h("main", { class: "admin" });
  const tabs = h("nav", { class: "tabs", "aria-label": t("admin_title") });
  root.replaceChildren(frame(), tabs, main);
  const shown = { path: null, view: null, timer: 0 };
  const context = { tools, refresh: () => shown.view.show("acted") };

  /** Shows the page that the address names, or the same page with the address's new filters. */
  async function show() {
    const isOther = shown.path !== path();
    if (isOther) {
      const isFirst = shown.path === null;
      Object.assign(shown, { path: path(), view: pageOf(path(), context) });
      main.replaceChildren(shown.view.element);
      if (!isFirst) scrollTo({ top: 0, behavior: "instant" });
    }
    tabs.replaceChildren(...TABS.map(tab));
    document.title = `${shown.view.title()} · Unstuck`;
    await shown.view.show();
    if (isOther && document.activeElement === document.body) focusHeading();
  }

  /** Refreshes the page, unless a dialog is open or the tab is hidden. */
  function tick() {
    clearTimeout(shown.timer);
    const isAsking = document.querySelector("dialog[open]");
    const isSeen = document.visibilityState === "visible";
    const refreshed = isSeen && !isAsking ? shown.view.show("refresh") : null;
    Promise.resolve(refreshed).finally(() => {
      shown.timer = setTimeout(tick, shown.view.everyMs);
    });
  }

  const focusHeading = () => main.querySelector("h1")?.focus({ preventScroll: true });
  onaddress(() => show().then(tickLater));
  const tickLater = () => {
    clearTimeout(shown.timer);
    shown.timer = setTimeout(tick, shown.view.everyMs);
  };
  await show();
  tickLater();
}

function pageOf(where, context) {
  for (const [pattern, create] of PAGES) {
    const found = new RegExp(`^/admin${pattern}$`).exec(where);
    if (found) return create(context, ...found.slice(1));
  }
  const nothing = h("div", {}, problem(t("no_such_page")));
  return { title: () => t("admin_title"), element: nothing, everyMs: 60_000, async show() {} };
}

function tab(place) {
  const here = path() === `/admin${place}`;
  const name = t(`tab_${place.slice(1) || "overview"}`);
  return h("a", { href: address(place), "aria-current": here && "page" }, name);
}

function frame() {
  const studio = h("a", { class: "button quiet", href: "/" }, t("studio"));
  const leave = button(t("sign_out"), signOut, "quiet", { title: user.email });
  return topBar(searchBox(), studio, leave);
}

function notice(content) {
  const leave = button(t("sign_out"), signOut, "quiet", { title: user.email });
  root.replaceChildren(topBar(leave), h("main", { class: "notice" }, content));
}

function notAllowed() {
  return h(
    "div",
    { class: "panel" },
    icon("alert", 32),
    h("h1", {}, t("not_allowed")),
    h("p", { class: "muted" }, t("not_allowed_text")),
    h("a", { class: "button", href: "/" }, t("studio")),
  );
}
