// The admin page: the health of the system, every job, cancel and retry. It shows what the database
// lets an admin read and calls what the functions let an admin do; the browser decides nothing.

import { chart } from "./admin/chart.js";
import { createDrawer } from "./admin/drawer.js";
import { createFilters } from "./admin/filters.js";
import { createHealth } from "./admin/health.js";
import { createJobTable } from "./admin/jobs.js";
import { button, h, icon, problem, topBar } from "./elements.js";
import { unread } from "./format.js";
import { isAdmin, signOut, supabase } from "./project.js";
import { signedIn } from "./sign_in.js";
import { t } from "./words.js";

const EVERY_MS = 10_000;

const root = document.getElementById("root");
const user = await signedIn(root);
const admin = await isAdmin(user).catch((error) => error);
if (admin === true) await start();
else if (admin === false) notice(notAllowed());
else notice(problem(unread(admin)));

async function start() {
  const { data: tools, error } = await supabase
    .from("tools")
    .select("tool, table_name")
    .order("tool");
  if (error) return notice(problem(t("error_network")));
  const health = createHealth();
  const hours = h("figure", { class: "panel chart" });
  const drawer = createDrawer();
  const filters = createFilters(tools);
  const refresh = () => Promise.all([jobs.show(), health.show(), chart(hours)]);
  const jobs = createJobTable({ tools, filters, open: drawer.open, refresh });
  const page = [h("h1", {}, t("admin_title")), health.element, hours, jobs.element];
  const studio = h("a", { class: "button quiet", href: "/" }, t("studio"));
  root.replaceChildren(top(studio), h("main", { class: "admin" }, page), drawer.element);
  await refresh();
  setInterval(() => {
    // Nothing moves under somebody who reads a further page or answers a question.
    if (document.visibilityState !== "visible" || document.querySelector("dialog[open]")) return;
    if (jobs.onFirstPage()) refresh();
    else health.show();
  }, EVERY_MS);
}

function top(...links) {
  return topBar(links, button(t("sign_out"), signOut, "quiet", { title: user.email }));
}

function notice(content) {
  root.replaceChildren(top(), h("main", { class: "notice" }, content));
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
