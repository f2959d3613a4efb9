// The search box: it takes an e-mail address, an id or its beginning, a provider's id, or the id of
// a request. A single result is opened at once.

import { badge, button, h, icon, link, time } from "../elements.js";
import { number, toolName } from "../format.js";
import { t } from "../words.js";
import { address, go, path, query } from "./router.js";
import { find } from "./users.js";
import { createView, section } from "./view.js";

/** The search box in the top bar. */
export function searchBox() {
  const input = h("input", {
    type: "search",
    name: "q",
    required: true,
    placeholder: t("search_hint"),
    "aria-label": t("search"),
    autocomplete: "off",
    spellcheck: "false",
  });
  const onsubmit = (event) => {
    event.preventDefault();
    go(address("/search", { q: input.value.trim() }));
  };
  const submit = button(icon("search", 18), null, "quiet", {
    type: "submit",
    "aria-label": t("search"),
  });
  return h("form", { class: "search", role: "search", onsubmit }, input, submit);
}

/** Makes the page of the results. */
export function createSearch() {
  const asked = () => (query().q ?? "").trim();

  async function read(reason) {
    const text = asked();
    const { users, jobs } = text ? await find(text) : { users: [], jobs: [] };
    const only = jobs.length === 1 ? `/jobs/${jobs[0].jobId}` : `/users/${users[0]?.userId}`;
    // The user of a found job is among the results too.
    const isOnly = jobs.length === 1 ? users.length < 2 : jobs.length === 0 && users.length === 1;
    // The admin may have opened another page, or searched for something else, in the meantime.
    const isAwaited = path() === "/admin/search" && asked() === text;
    if (isOnly && isAwaited && reason !== "refresh") go(address(only), { replace: true });
    return { text, users, jobs };
  }

  function draw({ text, users, jobs }) {
    return [
      h("h1", { tabindex: -1 }, t("found_for", { text })),
      users.length > 0 && section(t("users"), h("ul", { class: "hits" }, users.map(userHit))),
      jobs.length > 0 && section(t("jobs"), h("ul", { class: "hits" }, jobs.map(jobHit))),
      users.length + jobs.length === 0 && nothing(text),
    ];
  }

  return createView({ title: () => t("search"), read, draw, everyMs: 60_000 });
}

const userHit = ({ userId, email, balance, liveJobs }) =>
  h(
    "li",
    { "data-key": userId },
    link(address(`/users/${userId}`), email ?? userId),
    h("span", { class: "muted" }, `${t("balance")}: ${number(balance)}`),
    liveJobs > 0 && h("span", { class: "muted" }, `${t("live_jobs")}: ${number(liveJobs)}`),
  );

const jobHit = ({ jobId: id, tool, status, createdAt }) =>
  h(
    "li",
    { "data-key": id },
    link(address(`/jobs/${id}`), toolName(tool)),
    h("code", {}, id),
    badge(status),
    time(createdAt),
  );

/** Only the functions' logs contain the ids of requests. */
function nothing(text) {
  return h(
    "div",
    { class: "panel empty" },
    h("p", {}, t("nothing_found")),
    h("p", { class: "muted" }, t("request_ids"), " ", h("code", {}, `request_id = "${text}"`)),
  );
}
