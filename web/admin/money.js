// The ledger by day: credits bought, given, spent and refunded, by kind and by tool, and the debts.

import { button, h, link, problem } from "../elements.js";
import { number, signed, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { inWords, language, t } from "../words.js";
import { saveCsv } from "./download.js";
import { share, userLink } from "./names.js";
import { address, query } from "./router.js";
import { createView, drawn, paged, part, row, rows, section, table } from "./view.js";

const KINDS = [
  "purchase",
  "bonus",
  "goodwill",
  "grant",
  "debit",
  "refund",
  "chargeback",
  "adjustment",
];
const DEBTS = 200;
const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });

const money = () =>
  supabase.from("money_by_day").select("*").order("day").order("kind").order("tool");

/** Makes the page of the money. */
export function createMoney() {
  async function read() {
    const [entries, costs, debts] = await Promise.all([
      rows(paged(money)),
      part(supabase.from("tool_costs").select("tool, provider_cost, cost")),
      part(
        supabase.from("open_debts").select("*").order("owed", { ascending: false }).limit(DEBTS),
      ),
    ]);
    const { tool = "" } = query();
    return { all: entries, tool, costs, debts };
  }

  function draw({ all, tool, costs, debts }) {
    const entries = tool ? all.filter((entry) => entry.tool === tool) : all;
    const shown = KINDS.filter((kind) => entries.some((entry) => entry.kind === kind));
    const none = h("p", { class: "empty muted" }, t("no_money"));
    return [
      h("h1", { tabindex: -1 }, t("tab_money")),
      h(
        "section",
        { class: "panel" },
        h(
          "div",
          { class: "head" },
          h("h2", {}, tool ? toolName(tool) : t("by_day")),
          h(
            "div",
            { class: "acts" },
            tool && link(address("/money"), t("all_tools"), { class: "button quiet small" }),
            button(t("save_csv"), () => save(entries), "quiet small"),
          ),
        ),
        h("p", { class: "muted said" }, t("money_text")),
        entries.length ? byDay(entries, shown) : none,
      ),
      section(t("by_tool"), costs.error && problem(unread(costs.error)), byTool(all, costs.rows)),
      section(t("debts"), drawn(debts, debtTable, t("debts_good"))),
    ];
  }

  return createView({ title: () => t("tab_money"), read, draw, everyMs: 30_000 });
}

const sum = (entries) => entries.reduce((total, { credits }) => total + credits, 0);

function byDay(entries, kinds) {
  const heads = [
    { text: t("day") },
    ...kinds.map((kind) => ({ text: inWords("kind", kind), num: true })),
    { text: t("net"), num: true },
  ];
  const dates = [...new Set(entries.map(({ day }) => day))].sort().reverse();
  const line = (day, own, key) => {
    const of = kinds.map((kind) => {
      const credits = sum(own.filter((entry) => entry.kind === kind));
      return credits === 0 ? "–" : signed(credits);
    });
    return row(heads, [day, ...of, h("strong", {}, signed(sum(own)))], {
      "data-key": key,
      "data-day": key,
    });
  };
  const body = dates.map((day) =>
    line(
      days.format(new Date(`${day}T00:00:00Z`)),
      entries.filter((entry) => entry.day === day),
      day,
    ),
  );
  body.unshift(line(h("strong", {}, t("in_all")), entries, "all"));
  return table(t("by_day"), heads, h("tbody", {}, body));
}

/** A tool's margin is shown if an admin has entered what its provider costs. */
function byTool(all, costs) {
  const heads = [
    { text: t("filter_tool") },
    { text: t("orders"), num: true },
    { text: t("spent"), num: true },
    { text: t("kind_refund"), num: true },
    { text: t("kept"), num: true },
    { text: t("cost"), num: true },
    { text: t("margin"), num: true },
  ];
  const tools = [...new Set(all.map(({ tool }) => tool).filter(Boolean))].sort();
  if (tools.length === 0) return h("p", { class: "muted" }, t("no_money"));
  const line = (tool) => {
    const of = (kind) => all.filter((entry) => entry.tool === tool && entry.kind === kind);
    const orders = of("debit").reduce((total, { entries }) => total + entries, 0);
    const [spent, returned] = [-sum(of("debit")), sum(of("refund"))];
    const kept = spent - returned;
    const { provider_cost: each, cost } = costs.find((row) => row.tool === tool) ?? {};
    const isKnown = each != null || cost > 0;
    return row(
      heads,
      [
        link(address("/money", { tool }), toolName(tool)),
        number(orders),
        number(spent),
        number(returned),
        number(kept),
        isKnown ? number(cost) : "–",
        isKnown ? [signed(kept - cost), " ", h("small", {}, share(kept - cost, kept))] : "–",
      ],
      { "data-key": tool },
    );
  };
  return table(t("by_tool"), heads, h("tbody", {}, tools.map(line)));
}

function debtTable(debts) {
  const heads = [{ text: t("filter_user") }, { text: t("owed"), num: true }, { text: t("since") }];
  const line = ({ user_id: user, owed, since }) =>
    row(heads, [userLink(user), number(owed), days.format(new Date(since))], {
      "data-key": user,
    });
  return table(t("debts"), heads, h("tbody", {}, debts.map(line)));
}

function save(entries) {
  saveCsv("money", ["day", "kind", "tool", "entries", "credits"], entries);
}
