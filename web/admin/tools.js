// The tools: on sale or not, their prices by option, their limits, and how their steps end.

import { button, h, problem } from "../elements.js";
import { number, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { interval, secondsOf } from "./names.js";
import { figures } from "./providers.js";
import { changed, numberField, switchTo } from "./settings.js";
import { createView, facts, part, row, rows, table } from "./view.js";

const CREDITS_MAX = 1_000_000_000;
const ATTEMPTS_MAX = 100;
const MINUTES_MAX = 7 * 24 * 60;
const MINUTE = 60;
const COLUMNS =
  "tool, provider, credit_cost, priced_per, run_timeout, queue_ttl, attempt_max, enabled";

/** Makes the page of the tools. */
export function createTools({ refresh }) {
  async function read() {
    const [tools, prices, outcomes, costs] = await Promise.all([
      rows(supabase.from("tools").select(COLUMNS).order("tool")),
      part(supabase.from("tool_prices").select("*").order("tool").order("position")),
      part(supabase.from("provider_outcomes").select("*").not("tool", "is", null)),
      part(supabase.from("tool_costs").select("tool, provider_cost")),
    ]);
    return { tools, prices, outcomes, costs };
  }

  function draw({ tools, prices, outcomes, costs }) {
    const errors = [prices, outcomes, costs].map(({ error }) => error).filter(Boolean);
    const cards = tools.map((tool) =>
      card(
        { ...tool, cost: costs.rows.find((cost) => cost.tool === tool.tool)?.provider_cost },
        prices.rows.filter((rule) => rule.tool === tool.tool),
        outcomes.rows.find((outcome) => outcome.tool === tool.tool),
      ),
    );
    return [
      h("h1", { tabindex: -1 }, t("tab_tools")),
      errors.map((error) => problem(unread(error))),
      h("div", { class: "grid" }, cards),
    ];
  }

  function card(own, rules, outcome) {
    const { tool, enabled, provider } = own;
    return h(
      "section",
      { class: `panel card ${enabled ? "" : "off"}`, "data-key": tool, id: tool },
      h(
        "div",
        { class: "head" },
        h(
          "h2",
          {},
          toolName(tool),
          " ",
          h(
            "span",
            { class: `badge ${enabled ? "completed" : "failed"}` },
            t(enabled ? "on_sale" : "is_off"),
          ),
        ),
        h("div", { class: "acts" }, ruleButton(own, rules), limitsButton(own), switchButton(own)),
      ),
      h("code", { class: "muted" }, tool),
      figures(outcome),
      priceTable(own, rules),
      facts([
        [t("filter_provider"), provider],
        [t("run_timeout"), interval(own.run_timeout)],
        [t("queue_ttl"), interval(own.queue_ttl)],
        [t("attempt_max"), number(own.attempt_max)],
        [t("cost"), own.cost == null ? t("cost_unknown") : number(own.cost)],
      ]),
    );
  }

  function priceTable(own, rules) {
    const heads = [
      { text: t("price_when") },
      { text: t("price"), num: true },
      { text: t("actions"), hidden: true },
    ];
    const line = (rule) =>
      row(
        heads,
        [
          conditionInWords(rule.matches),
          priceInWords(rule),
          { show: [removeButton(own, rule), priceButton(own, rule)], kind: "end" },
        ],
        { "data-key": rule.position ?? "base", "data-price": rule.position ?? "base" },
      );
    const base = { credits: own.credit_cost, priced_per: own.priced_per, matches: null };
    return table(t("price"), heads, h("tbody", {}, [...rules, base].map(line)));
  }

  function priceButton(own, { position, credits }) {
    const isRule = position !== undefined;
    const { tool } = own;
    const ask = () =>
      changed({
        title: t("price_title", { name: toolName(tool) }),
        text: t("price_text", { n: credits }),
        fields: [numberField("price", credits, { max: CREDITS_MAX })],
        list: isRule ? "prices" : "tools",
        what: isRule ? { tool, position } : { tool },
        change: ({ price }) =>
          isRule ? { credits: Number(price) } : { creditCost: Number(price) },
        refresh,
      });
    const name = `${t("change_price")}: ${toolName(tool)}`;
    return button(t("change_price"), ask, "quiet small", { "aria-label": name });
  }

  function ruleButton({ tool }, rules) {
    const next = Math.max(0, ...rules.map(({ position }) => position)) + 1;
    const pers = ["job", "step", "second", "megapixel"].map((per) => [per, t(`per_${per}`)]);
    const ask = () =>
      changed({
        title: t("rule_title", { name: toolName(tool) }),
        text: t("rule_text"),
        fields: [
          numberField("position", next, { max: 1_000_000 }),
          { name: "matches", required: true, rows: true, placeholder: '{"version": "pro"}' },
          numberField("price", "", { max: CREDITS_MAX }),
          { name: "per", options: pers, value: "job" },
          { name: "quantity", type: "number", min: 1, max: 1_000_000 },
          { name: "least", type: "number", min: 1, max: CREDITS_MAX },
        ],
        list: "prices",
        what: { tool },
        change: ({ position, matches, price, per, quantity, least }) => ({
          position: Number(position),
          matches: JSON.parse(matches),
          credits: Number(price),
          pricedPer: per,
          ...(quantity && { quantity: Number(quantity) }),
          ...(least && { creditsMin: Number(least) }),
        }),
        refresh,
      });
    return button(t("add_rule"), ask, "quiet small", {
      "data-rule": tool,
      "aria-label": `${t("add_rule")}: ${toolName(tool)}`,
    });
  }

  function removeButton({ tool }, { position, credits }) {
    if (position === undefined) return null;
    const name = toolName(tool);
    const ask = () =>
      changed({
        title: t("remove_title", { name }),
        text: t("price_text", { n: credits }),
        action: t("remove"),
        danger: true,
        list: "prices",
        what: { tool, position },
        change: () => ({ remove: true }),
        refresh,
      });
    return button(t("remove"), ask, "quiet small", { "aria-label": `${t("remove")}: ${name}` });
  }

  function limitsButton(own) {
    const { tool, attempt_max: attempts, cost } = own;
    const minutes = (text) => Math.round(secondsOf(text) / MINUTE);
    const [running, waiting] = [minutes(own.run_timeout), minutes(own.queue_ttl)];
    // A limit of less than half a minute is shown as 0, so 0 must be allowed then.
    const minutesField = (name, value) =>
      numberField(name, value, { min: Math.min(1, value), max: MINUTES_MAX });
    const ask = () =>
      changed({
        title: t("limits_title", { name: toolName(tool) }),
        text: t("limits_text"),
        fields: [
          minutesField("run_minutes", running),
          minutesField("queue_minutes", waiting),
          numberField("attempts", attempts, { min: 1, max: ATTEMPTS_MAX }),
          { name: "cost", type: "number", min: 0, max: CREDITS_MAX, step: "any", value: cost },
        ],
        list: "tools",
        what: { tool },
        // Only changed values are sent. Otherwise a limit of 90 seconds would become two whole
        // minutes.
        change: (values) => {
          const chosen = (name, before) => values[name] !== "" && Number(values[name]) !== before;
          const [run, queue] = [Number(values.run_minutes), Number(values.queue_minutes)];
          return {
            ...(chosen("run_minutes", running) && { runTimeoutSeconds: run * MINUTE }),
            ...(chosen("queue_minutes", waiting) && { queueTtlSeconds: queue * MINUTE }),
            ...(chosen("attempts", attempts) && { attemptMax: Number(values.attempts) }),
            ...(chosen("cost", cost) && { providerCost: Number(values.cost) }),
          };
        },
        refresh,
      });
    return button(t("change_limits"), ask, "quiet small", {
      "data-limits": tool,
      "aria-label": `${t("change_limits")}: ${toolName(tool)}`,
    });
  }

  function switchButton({ tool, enabled }) {
    const ask = () =>
      switchTo(!enabled, { list: "tools", what: { tool }, name: toolName(tool), refresh });
    const text = t(enabled ? "switch_off" : "switch_on");
    return button(text, ask, enabled ? "danger small" : "primary small", {
      "data-switch": tool,
      "aria-label": `${text}: ${toolName(tool)}`,
    });
  }

  return createView({ title: () => t("tab_tools"), read, draw });
}

const SIGNS = { gt: ">", gte: "≥", lt: "<", lte: "≤", in: "∈" };

/** The conditions of a price rule: `resolution > 4096`. Null is the price if no rule applies. */
function conditionInWords(matches) {
  if (matches === null) return h("span", { class: "muted" }, t("price_else"));
  const conditions = Object.entries(matches).flatMap(([name, value]) => {
    const field = t.maybe(`field_${name}`) ?? name;
    if (value === null || typeof value !== "object") return `${field} = ${optionName(value)}`;
    return Object.entries(value).map(([sign, bound]) => {
      const shown = Array.isArray(bound) ? bound.map(optionName).join(", ") : optionName(bound);
      return `${field} ${SIGNS[sign] ?? sign} ${shown}`;
    });
  });
  return conditions.length ? conditions.join(" · ") : t("price_always");
}

const optionName = (value) =>
  typeof value === "number" ? number(value) : (t.maybe(`option_${value}`) ?? String(value));

function priceInWords({ credits, priced_per: per, credits_min: least }) {
  const price = per === "job" ? number(credits) : `${number(credits)} ${inWords("per", per)}`;
  return least ? t("price_least", { price, n: least }) : price;
}
