// Everything that happened to one job, its credits, and what its user has bought.

import { badge, button, h, icon, problem, time } from "../elements.js";
import { number, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";

/** How many purchases are shown, the newest first. */
const PURCHASES = 20;

/** Makes the closed drawer: its element, and `open(job)`. */
export function createDrawer() {
  const element = h("dialog", { class: "drawer", "aria-labelledby": "drawer-title" });

  async function open(job) {
    const [events, receipt, purchases, debts] = await Promise.all([
      supabase
        .from("job_events")
        .select("id, at, step, run, event, from_status, to_status, actor")
        .eq("job_id", job.id)
        .order("id"),
      supabase
        .from("job_receipts")
        .select("entries, output_url, error_message")
        .eq("job_id", job.id)
        .maybeSingle(),
      supabase
        .from("purchases")
        .select("ids, created_at, seller, pack, granted, taken")
        .eq("user_id", job.user_id)
        .order("created_at", { ascending: false })
        .limit(PURCHASES),
      supabase
        .from("credit_debts")
        .select("purchase_id, amount, settled")
        .eq("user_id", job.user_id),
    ]);
    const { error_message: message, output_url: output } = receipt.data ?? {};
    element.replaceChildren(
      header(job, () => element.close()),
      message ? h("p", { class: "problem" }, message) : "",
      h("h3", {}, t("ledger")),
      ledger(receipt),
      h("h3", {}, t("events")),
      eventTable(events),
      h("h3", {}, t("purchases")),
      purchaseTable(purchases, debts),
      output ? h("p", {}, outputLink(output)) : "",
    );
    element.showModal();
  }

  return { element, open };
}

function header({ id, tool, status }, onclose) {
  const title = h("h2", { id: "drawer-title" }, toolName(tool), " ", badge(status));
  const close = button(icon("close"), onclose, "quiet", { "aria-label": t("close") });
  return h("header", {}, h("div", {}, title, h("code", {}, id)), close);
}

function outputLink(href) {
  return h("a", { href, target: "_blank", rel: "noopener" }, t("result"));
}

function ledger({ data, error }) {
  if (error) return problem(unread(error));
  if (!data?.entries) return h("p", { class: "muted" }, t("not_charged"));
  const keys = ["entry_at", "entry_what", "entry_amount", "entry_balance", "entry_reason"];
  return table("ledger", keys, data.entries.map(entry));
}

function entry({ at, kind, amount, balance_after: balance, reason }) {
  return h(
    "tr",
    {},
    h("td", {}, time(at)),
    h("td", {}, t(`entry_${kind}`)),
    h("td", { class: "num" }, number(amount)),
    h("td", { class: "num" }, number(balance)),
    h("td", { class: "muted" }, reason ?? ""),
  );
}

function eventTable({ data, error }) {
  if (error) return problem(unread(error));
  return table("events", ["entry_at", "event", "step", "run", "change", "actor"], data.map(event));
}

function event({ at, event: what, step, run, from_status: from, to_status: to, actor }) {
  const change = [from, to].filter(Boolean).join(" → ");
  return h(
    "tr",
    {},
    h("td", {}, time(at)),
    h("td", {}, what),
    h("td", { class: "num" }, step ?? ""),
    h("td", { class: "num" }, run ?? ""),
    h("td", {}, change),
    h("td", { class: "muted" }, actor ?? ""),
  );
}

function purchaseTable({ data, error }, debts) {
  if (error || debts.error) return problem(unread(error ?? debts.error));
  if (data.length === 0) return h("p", { class: "muted" }, t("purchase_none"));
  const keys = ["entry_at", "pack", "granted", "taken_back", "owed"];
  return table(
    "purchases",
    keys,
    data.map((bought) => purchase(bought, debts.data)),
  );
}

function purchase({ ids, created_at: at, seller, pack, granted, taken }, debts) {
  const own = debts.filter(({ purchase_id: id }) => ids.includes(id));
  const owed = own.reduce((sum, { amount, settled }) => sum + amount - settled, 0);
  return h(
    "tr",
    {},
    h("td", {}, time(at)),
    h("td", {}, pack ?? "–", h("small", { class: "muted" }, ` ${seller}`)),
    ...[granted, taken, owed].map((credits) => h("td", { class: "num" }, number(credits))),
  );
}

function table(label, keys, rows) {
  const head = keys.map((key) => h("th", { scope: "col" }, t(key)));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": t(label) },
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}
