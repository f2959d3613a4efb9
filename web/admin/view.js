// What every page of the admin has: it reads, draws, and draws what has changed.

import { h, problem } from "../elements.js";
import { unread } from "../format.js";
import { patch } from "./patch.js";

/**
 * A page: `read` resolves to what `draw` shows. The newest reading wins. Where one fails, what was
 * shown stays, below a sentence that says so.
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
    patch(warning);
    patch(body, draw(seen));
  }

  return { title, element, show, everyMs };
}

/** The rows of a query of PostgREST. */
export async function rows(query) {
  const { data, error } = await query;
  if (error) throw error;
  return data;
}

/** The rows, or why there are none: where one part fails, the others are shown. */
export async function part(query) {
  const { data, error } = await query;
  return error ? { rows: [], error } : { rows: data, error: null };
}

/** What a part shows: `draw(rows)`, or the problem. */
export function drawn({ rows: found, error }, draw, none) {
  if (error) return problem(unread(error));
  if (found.length === 0) return h("p", { class: "muted" }, none);
  return draw(found);
}

/** A table that becomes a list of cards on a phone: each cell knows its heading. */
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

/** A row; each cell is what it shows or `{ show, num, kind }`. */
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

/** Pairs of a name and what it is. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}
