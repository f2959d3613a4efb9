// How the system is, at a glance: what is stuck, what waits, each provider's slots, the sweep, the
// invariants, who owes credits.

import { confirmed, h, problem } from "../elements.js";
import { duration, number, unread } from "../format.js";
import { functionsUrl, supabase } from "../project.js";
import { t } from "../words.js";

/** A wait that deserves a look, in seconds. */
const LONG_WAIT = 600;

/** Makes the strip of tiles: its element, and `show`. */
export function createHealth() {
  const element = h("section", { class: "health", "aria-label": t("health") });

  async function show() {
    const [health, load, debts] = await Promise.all([
      fetch(`${functionsUrl}/health`)
        .then((response) => response.json())
        .catch(() => null),
      supabase.from("provider_load").select("*").order("provider"),
      supabase.from("open_debts").select("user_id, owed").order("owed", { ascending: false }),
    ]);
    if (!health || load.error || debts.error)
      return element.replaceChildren(problem(t("error_network")));
    element.replaceChildren(
      stuckTile(health),
      waitingTile(load.data),
      slotsTile(load.data),
      sweepTile(health),
      invariantsTile(health),
      debtsTile(debts.data),
    );
  }

  return { element, show };
}

function stuckTile({ stuck }) {
  const mood = stuck > 0 ? "bad" : "good";
  return tile("stuck", t("stuck_now"), number(stuck ?? 0), mood, t(`stuck_${mood}`));
}

function waitingTile(providers) {
  const oldest = Math.max(0, ...providers.map((load) => load.oldest_waiting_seconds ?? 0));
  const waiting = providers.reduce((sum, load) => sum + load.waiting, 0);
  const value = waiting ? duration(oldest) : "–";
  const mood = oldest > LONG_WAIT ? "warn" : "good";
  return tile("waiting", t("oldest_waiting"), value, mood, t("waiting_now", { n: waiting }));
}

/**
 * `health` is not ok for one of four reasons: something is stuck, an invariant is broken, the
 * database refuses another deployment, or the last sweep is late. Beside one of the first three, it
 * does not tell whether the sweep is late too.
 */
function sweepTile({ ok, lastSweepSeconds: age, stuck, violations, wrongDeployment: elsewhere }) {
  const late = age === null || !(ok || stuck > 0 || violations > 0);
  const mood = late || elsewhere ? "bad" : ok ? "good" : "warn";
  const bad = elsewhere ? t("sweep_elsewhere") : t("sweep_late");
  const text = { bad, good: t("sweep_good"), warn: "" }[mood];
  return tile("sweep", t("last_sweep"), age === null ? "–" : duration(age), mood, text);
}

function invariantsTile({ violations }) {
  const mood = violations > 0 ? "bad" : "good";
  const onopen = violations > 0 ? showViolations : null;
  const text = t(`invariants_${mood}`);
  return tile("invariants", t("invariants"), number(violations ?? 0), mood, text, onopen);
}

function debtsTile(debts) {
  const owed = debts.reduce((sum, debt) => sum + debt.owed, 0);
  const line = ({ user_id: user, owed: n }) => t("debt_line", { user, n });
  const list = () => confirmed(t("debts"), debts.map(line).join("\n"), t("close"));
  const mood = owed > 0 ? "warn" : "good";
  const text = t(`debts_${mood}`, { n: owed });
  return tile("debts", t("debts"), number(debts.length), mood, text, owed > 0 && list);
}

function tile(name, label, value, mood, text, onclick) {
  const inside = [
    h("span", { class: "tile-label" }, h("span", { class: "dot", "aria-hidden": "true" }), label),
    h("strong", { class: "tile-value" }, value),
    h("span", { class: "tile-text" }, text),
  ];
  const attributes = { class: `tile ${mood}`, "data-tile": name };
  return onclick
    ? h("button", { type: "button", ...attributes, onclick }, inside)
    : h("div", attributes, inside);
}

function slotsTile(providers) {
  const label = h("span", { class: "tile-label" }, t("running_per_provider"));
  const list = h("ul", { class: "slots" }, providers.map(meter));
  return h("div", { class: "tile wide", "data-tile": "slots" }, label, list);
}

function meter(load) {
  const { provider, running, max_concurrent: allowed, learned_limit: learned } = load;
  const { waiting, enabled } = load;
  const limit = learned ?? allowed;
  const fill = h("div", { class: running >= limit ? "bar-fill full" : "bar-fill" });
  fill.style.width = `${limit ? Math.min(100, (running / limit) * 100) : 0}%`;
  const queue = waiting > 0 && h("small", {}, ` +${number(waiting)}`);
  const off = !enabled && h("em", {}, t("switched_off"));
  return h(
    "li",
    { class: !enabled && "off", "data-provider": provider },
    h("span", {}, provider, off, learnedLimit(load), circuit(load)),
    h("div", { class: "bar", "aria-hidden": "true" }, fill),
    h("span", { class: "num" }, `${running}/${limit}`, queue),
  );
}

/** The provider took fewer steps than are allowed when it refused more for capacity. */
function learnedLimit({ learned_limit: learned, max_concurrent: allowed }) {
  return learned !== null && h("em", {}, t("takes_fewer", { learned, allowed }));
}

/** The provider's or some of its tools' orders wait after refusals. */
function circuit({ circuit_open_until: open, circuit_reason: reason, circuits_of_tools: tools }) {
  const title = [open && reason, ...tools].filter(Boolean).join(", ");
  return (open || tools.length > 0) && h("em", { title }, t("circuit_open"));
}

async function showViolations() {
  const { data, error } = await supabase.from("invariant_violations").select("*").limit(20);
  const line = ({ invariant, subject, detail }) => `${invariant} · ${subject} · ${detail}`;
  const text = error ? unread(error) : data.map(line).join("\n");
  await confirmed(t("invariants"), text, t("close"));
}
