// The user's earlier jobs, newest first, each with its receipt.

import { badge, button, h, icon, time } from "../elements.js";
import { number, signed } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { declared } from "./tools.js";

const PAGE = 8;

/** Makes the list: its element, and `refresh`; `onopen(receipt)` opens a job. */
export function createHistory(user, onopen) {
  const list = h("ol", { class: "history-list" });
  let pages = 1;
  const further = () => {
    pages += 1;
    return refresh();
  };
  const more = button(t("more"), further, "quiet", { hidden: true });

  async function refresh() {
    const { data, error } = await supabase
      .from("job_receipts")
      .select("*")
      .eq("user_id", user.id)
      .order("created_at", { ascending: false })
      .range(0, pages * PAGE);
    if (error) return list.replaceChildren(h("li", { class: "problem" }, t("error_network")));
    more.hidden = data.length <= pages * PAGE;
    const opened = [...list.querySelectorAll("details[open]")];
    const open = new Set(opened.map(({ dataset }) => dataset.job));
    const rows = data.slice(0, pages * PAGE).map((receipt) => row(receipt, open, onopen));
    const empty = h("li", { class: "muted empty" }, t("history_empty"));
    list.replaceChildren(...(rows.length ? rows : [empty]));
  }

  const title = h("h2", { id: "history-title" }, t("history"));
  const attributes = { class: "panel history", "aria-labelledby": "history-title" };
  return { element: h("section", attributes, title, list, more), refresh };
}

function row(receipt, open, onopen) {
  const name = t(`tool_${receipt.tool}`);
  const opener = {
    type: "button",
    class: "history-open",
    "aria-label": t("open", { what: name }),
    onclick: () => onopen(receipt),
  };
  const paid = [icon("coin", 14), number(receipt.credits_paid)];
  return h(
    "li",
    { class: "history-row", "data-job": receipt.job_id },
    h("button", opener, h("span", { class: "thumb" }, thumb(receipt))),
    h("div", { class: "history-text" }, h("strong", {}, name), time(receipt.created_at)),
    h("div", { class: "history-end" }, badge(receipt.status), h("span", { class: "paid" }, paid)),
    details(receipt, open.has(receipt.job_id)),
  );
}

function thumb({ tool, output_url: src }) {
  const { result, icon: name } = declared(tool);
  const pictured = src && result !== "video" && result !== "files";
  return pictured ? h("img", { src, alt: "", loading: "lazy" }) : icon(name, 22);
}

function details({ job_id: job, error_message: problem, entries }, open) {
  return h(
    "details",
    { "data-job": job, open },
    h("summary", {}, t("receipt")),
    problem && h("p", { class: "small" }, problem),
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
    h("td", {}, t(`entry_${kind}`)),
    h("td", { class: "num" }, signed(amount)),
    h("td", { class: "num" }, number(balance)),
  );
}
