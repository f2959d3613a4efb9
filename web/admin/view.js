// The frame of every admin page: it reads, draws, and patches what has changed.

import { h, problem } from "../elements.js";
import { unread } from "../format.js";
import { t } from "../words.js";
import { patch } from "./patch.js";

/**
 * Makes a page: `read` resolves to what `draw` shows. If several readings overlap, the newest wins.
 * If a reading fails, or `draw` throws, the page keeps what it shows, and a sentence above says so.
 */
export function createView({ title, read, draw, everyMs = 10_000, kind = "" }) {
  const warning = h("div");
  const body = h("div", { class: `view ${kind}`.trim() });
  const element = h("div", {}, warning, body);
  let reading = 0;

  async function show(reason = "asked") {
    const mine = ++reading;
    let seen;
    try {
      seen = await read(reason);
    } catch (error) {
      if (mine === reading) patch(warning, problem(unread(error)));
      return;
    }
    if (mine !== reading) return;
    try {
      patch(body, draw(seen));
      patch(warning);
    } catch (error) {
      console.error(error);
      patch(warning, problem(t("draw_failed", { why: error.message })));
    }
  }

  return { title, element, show, everyMs };
}

/** A request asks for so many rows. */
const AT_ONCE = 1000;

/**
 * Reads all rows of a query, or its first `most`, in as many requests as it takes: a project is set
 * to answer at most so many rows at once, 1,000 by default, and leaves out the others without a
 * word. `query()` makes the query, in an order that is the same for every request. Resolves like a
 * query.
 */
export async function paged(query, most = Infinity) {
  const all = [];
  while (all.length < most) {
    const end = Math.min(all.length + AT_ONCE, most);
    const { data, error } = await query().range(all.length, end - 1);
    if (error) return { data: null, error };
    // A short page is not the end: the project may be set to answer fewer rows than these.
    if (data.length === 0) break;
    all.push(...data);
  }
  return { data: all, error: null };
}

/** The rows of a PostgREST query; throws if it fails. */
export async function rows(query) {
  const { data, error } = await query;
  if (error) throw error;
  return data;
}

/** The rows of a query, or its error, so that the other parts of the page are shown anyway. */
export async function part(query) {
  const { data, error } = await query;
  return error ? { rows: [], error } : { rows: data, error: null };
}

/** Draws a part with `draw(rows)`, or shows its error. */
export function drawn({ rows: found, error }, draw, none) {
  if (error) return problem(unread(error));
  if (found.length === 0) return h("p", { class: "muted" }, none);
  return draw(found);
}

/** A table that becomes a list of cards on a phone, where each cell shows its heading. */
export function table(label, heads, body) {
  const head = heads.map(({ text, num, hidden }) =>
    h(
      "th",
      { scope: "col", class: num && "num" },
      hidden ? h("span", { class: "sr" }, text) : text,
    ),
  );
  const grid = h("table", { class: "cards" }, h("thead", {}, h("tr", {}, head)), body);
  return h("div", { class: "scroll", role: "group", "aria-label": label, tabindex: 0 }, grid);
}

/** A row; each cell is its content, or `{ show, num, kind }`. */
export function row(heads, cells, attributes = {}) {
  const drawnCells = cells.map((cell, index) => {
    const { show, kind = "" } = cell?.show === undefined ? { show: cell } : cell;
    const classes = `${heads[index].num ? "num" : ""} ${kind}`.trim();
    return h("td", { class: classes || null, "data-head": heads[index].text }, show ?? "");
  });
  return h("tr", attributes, drawnCells);
}

/** A section with its heading. */
export function section(title, ...content) {
  return h("section", { class: "panel" }, h("h2", {}, title), content);
}

/** A list of names with their values. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}
