// The providers: their success, why their steps failed, their slots, and the switch for each.

import { button, h, link, problem, time } from "../elements.js";
import { duration, number, time as timeText, toolName, unread } from "../format.js";
import { supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { clock, jobLink, share } from "./names.js";
import { whatToDo } from "./questions.js";
import { address } from "./router.js";
import { changed, numberField, switchTo } from "./settings.js";
import { limitOf, slotsBar } from "./slots.js";
import { createView, facts, part, rows } from "./view.js";

const SLOTS_MAX = 10_000;
const ALARMS = 30;
const BALANCE_MAX = 999_999_999;

/** Makes the page of the providers. */
export function createProviders({ refresh }) {
  async function read() {
    const [load, outcomes, failures, alarms] = await Promise.all([
      rows(supabase.from("provider_load").select("*").order("provider")),
      part(supabase.from("provider_outcomes").select("*").is("tool", null)),
      part(supabase.from("provider_errors").select("*").order("last_at", { ascending: false })),
      part(
        supabase
          .from("provider_alarms")
          .select("*")
          .order("last_at", { ascending: false })
          .limit(ALARMS),
      ),
    ]);
    return { load, outcomes, failures, alarms };
  }

  function draw({ load, outcomes, failures, alarms }) {
    const errors = [outcomes, failures, alarms].map(({ error }) => error).filter(Boolean);
    const of = (found, { provider }) => found.rows.filter((row) => row.provider === provider);
    return [
      h("h1", { tabindex: -1 }, t("tab_providers")),
      errors.map((error) => problem(unread(error))),
      h(
        "div",
        { class: "grid" },
        load.map((own) =>
          card({
            load: own,
            outcome: of(outcomes, own)[0],
            failures: of(failures, own),
            alarms: of(alarms, own),
          }),
        ),
      ),
    ];
  }

  function card({ load, outcome, failures, alarms }) {
    const { provider, enabled, running, waiting, max_concurrent: allowed } = load;
    const limit = limitOf(load);
    return h(
      "section",
      { class: `panel card ${enabled ? "" : "off"}`, "data-key": provider, id: provider },
      h(
        "div",
        { class: "head" },
        h("h2", {}, provider, " ", state(load)),
        h("div", { class: "acts" }, slotsButton(load), switchButton(load)),
      ),
      circuitOf(load),
      load.circuit_open_until && circuitButton(load),
      figures(outcome),
      slotsBar(load),
      facts([
        [t("slots"), `${number(running)} / ${number(limit)}`],
        [t("slots_allowed"), limit === allowed ? null : number(allowed)],
        [t("status_queued"), waitingLink(provider, waiting)],
        [t("oldest_waiting"), waiting > 0 ? duration(load.oldest_waiting_seconds) : null],
        [t("balance"), load.balance && [left(load), " ", leastButton(load)]],
      ]),
      h("h3", {}, t("last_errors"), " ", whatToDo(8)),
      failures.length
        ? h("ul", { class: "errors" }, failures.map(failureLine))
        : h("p", { class: "muted" }, t("no_errors")),
      alarms.length > 0 && [
        h("h3", {}, t("alarms"), " ", whatToDo(8)),
        h("ul", { class: "errors" }, alarms.map(alarmLine)),
      ],
    );
  }

  const waitingLink = (provider, waiting) =>
    waiting > 0
      ? link(address("/jobs", { provider, status: "queued", order: "oldest" }), number(waiting))
      : number(0);

  function slotsButton({ provider, max_concurrent: value }) {
    const ask = () =>
      changed({
        title: t("slots_title", { name: provider }),
        text: t("slots_text", { n: value }),
        fields: [numberField("slots", value, { max: SLOTS_MAX })],
        list: "providers",
        what: { provider },
        change: ({ slots }) => ({ maxConcurrent: Number(slots) }),
        refresh,
      });
    return button(t("change_slots"), ask, "quiet small", { "data-slots": provider });
  }

  function leastButton({ provider, balance, balance_least: least }) {
    const names = Object.fromEntries(Object.keys(balance).map((unit) => [`least_${unit}`, unit]));
    const fields = Object.entries(names).map(([name, unit]) => ({
      ...numberField(name, least[unit], { max: BALANCE_MAX, step: "any", required: false }),
      label: t("balance_least", { unit: unitName(unit) }),
    }));
    const chosen = (values) =>
      Object.entries(names)
        .filter(([name]) => values[name] !== "")
        .map(([name, unit]) => [unit, Number(values[name])]);
    const ask = () =>
      changed({
        title: t("balance_least_title", { name: provider }),
        text: t("balance_least_text"),
        fields,
        list: "providers",
        what: { provider },
        change: (values) => ({ balanceLeast: Object.fromEntries(chosen(values)) }),
        refresh,
      });
    return button(t("change_balance_least"), ask, "quiet small", { "data-least": provider });
  }

  function circuitButton({ provider }) {
    const ask = () =>
      changed({
        title: t("circuit_title", { name: provider }),
        text: t("circuit_text"),
        action: t("close_circuit"),
        list: "providers",
        what: { provider },
        change: () => ({ closeCircuit: true }),
        refresh,
      });
    return button(t("close_circuit"), ask, "small", { "data-circuit": provider });
  }

  function switchButton({ provider, enabled }) {
    const ask = () =>
      switchTo(!enabled, { list: "providers", what: { provider }, name: provider, refresh });
    const kind = enabled ? "danger small" : "primary small";
    const text = t(enabled ? "switch_off" : "switch_on");
    return button(text, ask, kind, {
      "data-switch": provider,
      "aria-label": `${text}: ${provider}`,
    });
  }

  return createView({ title: () => t("tab_providers"), read, draw });
}

/** The balance of our account as the provider last reported it. */
function left({ balance, balance_least: least, balance_at: at }) {
  const amounts = Object.entries(balance).map(
    ([unit, amount]) => `${number(amount)} ${unitName(unit)}`,
  );
  const isLow = Object.entries(least).some(([unit, amount]) => balance[unit] < amount);
  const { exact } = timeText(at);
  const low = isLow && [" ", h("em", { class: "low" }, t("balance_low")), " ", whatToDo(8)];
  return h("span", { title: exact, "data-balance": true }, amounts.join(" · "), low);
}

const unitName = (unit) => t.maybe(`unit_${unit}`) ?? unit;

function state({ enabled }) {
  return enabled
    ? h("span", { class: "badge completed" }, t("is_on"))
    : h("span", { class: "badge failed" }, t("is_off"));
}

function circuitOf({
  provider,
  circuit_open_until: until,
  circuit_reason: reason,
  circuits_of_tools: of,
}) {
  const lines = of.map((tool) => t("wait_circuit_app", { provider, tool: toolName(tool) }));
  if (until) {
    const key = `wait_circuit_${reason === "place" ? "place" : "account"}`;
    lines.unshift(t(key, { provider, at: clock(until) }));
  }
  return lines.map((line) => h("p", { class: "warning" }, line, " ", whatToDo(8)));
}

export function figures(outcome) {
  const { completed = 0, failed = 0, p50_seconds: p50, p95_seconds: p95 } = outcome ?? {};
  const ended = completed + failed;
  const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const time = (seconds) => (seconds == null ? "–" : duration(seconds));
  return h(
    "dl",
    { class: "figures" },
    figure(t("succeeded"), share(completed, ended)),
    figure(t("ended_day"), number(ended)),
    figure(t("half_within"), time(p50)),
    figure(t("most_within"), time(p95)),
  );
}

function failureLine({
  error_code: code,
  failures,
  last_at: at,
  last_job_id: job,
  last_message: told,
}) {
  return h(
    "li",
    { "data-key": code ?? "none" },
    h("strong", {}, `${number(failures)} ×`),
    h("span", { title: told }, inWords("code", code ?? "unknown")),
    h("small", { class: "muted" }, time(at), " ", jobLink(job)),
  );
}

function alarmLine({ id, code, count, tool, last_at: at, detail }) {
  return h(
    "li",
    { "data-key": id },
    h("strong", {}, `${number(count)} ×`),
    h("span", { title: detail, lang: "en" }, code),
    h("small", { class: "muted" }, tool && `${toolName(tool)} · `, time(at)),
  );
}
