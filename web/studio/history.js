// The user's earlier jobs by day, newest first, each with its receipt. They can be filtered by
// tool, status and words.

import { badge, button, h, icon, problem, time } from "../elements.js";
import { day, explain, number, signed, toolName } from "../format.js";
import { inWords, t } from "../words.js";
import { summary } from "./input.js";
import { jobs as client } from "./jobs.js";
import { details } from "./service.js";
import { declared } from "./tools.js";

const PAGE = 10;
/** So many jobs are read at once when the search may exclude most of them. */
const READ_MAX = 50;
const STATES = ["completed", "running", "queued", "failed", "cancelled"];

/**
 * Makes the list: its element, `refresh`, and `offer(tools)`, which sets the tools to choose from.
 * `onopen(id)` opens a job; `onagain(job)` puts its input into the form.
 */
export function createHistory({ onopen, onagain }) {
  const list = h("ol", { class: "history-list" });
  const more = button(t("more"), () => further(), "quiet", { hidden: true });
  const filters = createFilters(() => further(PAGE));
  let [shown, turn, opened] = [PAGE, 0, new Set()];

  /**
   * Reads the newest jobs that match, one more than `wanted` if there are more. Returns null if a
   * later reading has begun.
   */
  async function read(wanted, mine) {
    const { status, tool, matches, isSifted } = filters.get();
    const found = [];
    let cursor = null;
    do {
      const limit = isSifted ? READ_MAX : Math.min(wanted + 1, READ_MAX);
      const page = await client.history({ cursor, status, tool, limit });
      const known = await details(page.jobs.map(({ id }) => id));
      if (mine !== turn) return null;
      const jobs = page.jobs.map((job) => ({ ...job, ...known.get(job.id) }));
      found.push(...jobs.filter(matches));
      cursor = page.next;
    } while (cursor && found.length <= wanted);
    return found;
  }

  async function refresh() {
    const mine = ++turn;
    const found = await read(shown, mine).catch((error) => ({ error }));
    if (!found || mine !== turn) return;
    if (found.error) return list.replaceChildren(h("li", {}, problem(explain(found.error))));
    more.hidden = found.length <= shown;
    const focused = document.activeElement?.closest?.("[data-job]")?.dataset.job;
    opened = new Set([...list.querySelectorAll("details[open]")].map(({ dataset }) => dataset.job));
    list.replaceChildren(...byDay(found.slice(0, shown)));
    if (focused && !document.activeElement?.closest("[data-job]"))
      list.querySelector(`[data-job="${focused}"] .history-open`)?.focus({ preventScroll: true });
  }

  function further(count = shown + PAGE) {
    shown = count;
    return refresh();
  }

  function byDay(jobs) {
    const { isSifted, status, tool } = filters.get();
    const nothing = t(isSifted || status || tool ? "history_none" : "history_empty");
    if (jobs.length === 0) return [h("li", { class: "muted empty" }, nothing)];
    const days = Map.groupBy(jobs, ({ createdAt }) => day(createdAt));
    return [...days].map(([name, ofDay]) =>
      h(
        "li",
        {},
        h("h3", { class: "history-day" }, name),
        h(
          "ol",
          {},
          ofDay.map((job) => row(job, { isOpen: opened.has(job.id), onopen, onagain })),
        ),
      ),
    );
  }

  const title = h("h2", { id: "history-title" }, t("history"));
  const attributes = { class: "panel history", "aria-labelledby": "history-title" };
  const element = h("section", attributes, title, filters.element, list, more);
  return { element, refresh, offer: filters.offer };
}

/** The pause in typing after which the list is read. */
const REST_MS = 250;

/** Makes the search and the two choices; `get` returns the present filters. */
function createFilters(onchange) {
  let timer = null;
  const typed = () => {
    clearTimeout(timer);
    timer = setTimeout(onchange, REST_MS);
  };
  const search = h("input", {
    type: "search",
    "aria-label": t("history_search"),
    placeholder: t("history_search"),
    oninput: typed,
  });
  const tool = chooser("filter_tool", onchange);
  const status = chooser("filter_status", onchange);
  status.append(...STATES.map((state) => h("option", { value: state }, t(`status_${state}`))));

  function get() {
    const words = search.value.trim().toLowerCase();
    const matches = (job) =>
      `${toolName(job.tool)} ${summary(job)} ${job.id}`.toLowerCase().includes(words);
    const chosen = ({ value }) => value || undefined;
    return { status: chosen(status), tool: chosen(tool), matches, isSifted: words !== "" };
  }

  const offer = (tools) =>
    tool.replaceChildren(
      tool.firstChild,
      ...tools.map((name) => h("option", { value: name }, toolName(name))),
    );
  const element = h("div", { class: "history-filters", role: "search" }, search, tool, status);
  return { element, get, offer };
}

const chooser = (name, onchange) =>
  h(
    "select",
    { "aria-label": t(name), onchange: () => onchange() },
    h("option", { value: "" }, `${t(name)}: ${t("all")}`),
  );

function row(job, { isOpen, onopen, onagain }) {
  const { id, tool, createdAt, status, creditsCharged, creditsRefunded } = job;
  const name = toolName(tool);
  const opener = {
    class: "history-open",
    href: `?job=${id}`,
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onopen(id);
    },
  };
  const about = summary(job);
  const paid = [icon("coin", 14), number((creditsCharged ?? 0) - creditsRefunded)];
  const hasInput = Object.keys(job.input ?? {}).length > 0;
  const again = hasInput && {
    "aria-label": t("use_again", { what: name }),
    title: t("use_settings"),
  };
  return h(
    "li",
    { class: "history-row", "data-job": id },
    h(
      "a",
      opener,
      h("span", { class: "thumb" }, thumb(job)),
      h(
        "span",
        { class: "history-text" },
        h("strong", {}, name),
        about && h("span", { class: "history-about" }, about),
        time(createdAt),
      ),
    ),
    h("div", { class: "history-end" }, badge(status), h("span", { class: "paid" }, paid)),
    h(
      "div",
      { class: "history-more" },
      receipt(job, isOpen),
      again &&
        button([icon("returned", 16), t("use_short")], () => onagain(job), "quiet small", again),
    ),
  );
}

function thumb({ tool, outputs }) {
  const { icon: name } = declared(tool);
  const src = outputs.find(({ url, kind }) => url && kind === "image")?.url;
  return src ? h("img", { src, alt: "", loading: "lazy" }) : icon(name, 22);
}

function receipt({ id, error, entries }, isOpen) {
  return h(
    "details",
    { "data-job": id, open: isOpen },
    h("summary", {}, t("receipt")),
    error && h("p", { class: "small" }, explain(error)),
    entries ? table(entries) : h("p", { class: "muted small" }, t("not_charged")),
  );
}

function table(entries) {
  const keys = ["entry_at", "entry_what", "entry_amount", "entry_balance"];
  const head = keys.map((key, index) =>
    h("th", { scope: "col", class: index > 1 && "num" }, t(key)),
  );
  return h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, entries.map(entry)));
}

function entry({ at, kind, amount, balance_after: balance }) {
  return h(
    "tr",
    {},
    h("td", {}, time(at)),
    h("td", {}, inWords("entry", kind)),
    h("td", { class: "num" }, signed(amount)),
    h("td", { class: "num" }, number(balance)),
  );
}
