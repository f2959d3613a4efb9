// The health of the system as tiles. Each tile links to the rows that it counts.

import { h, link, problem } from "../elements.js";
import { duration, number, toolName, unread } from "../format.js";
import { functionsUrl, supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { questionOf, whatToDo } from "./questions.js";
import { address } from "./router.js";
import { limitOf, slotsBar } from "./slots.js";
import { paged, part } from "./view.js";

/** A wait of more seconds than these is shown as a warning. */
const LONG_WAIT = 600;

const allDebts = () => supabase.from("open_debts").select("user_id, owed").order("user_id");

/** Reads what the tiles show. */
export async function readHealth() {
  const [health, load, debts] = await Promise.all([
    fetch(`${functionsUrl}/health`)
      .then((response) => response.json())
      // An answer with `ok`, true or false, is a health report; any other answer is a refusal.
      .then((told) => ("ok" in told ? told : null))
      .catch(() => null),
    part(supabase.from("provider_load").select("*").order("provider")),
    part(paged(allDebts)),
  ]);
  return { health, load, debts };
}

/** The strip of tiles. */
export function healthStrip({ health, load, debts }) {
  const strip = (...tiles) => h("section", { class: "health", "aria-label": t("health") }, tiles);
  const error = load.error ?? debts.error;
  if (!health || error) return strip(problem(error ? unread(error) : t("error_network")));
  return strip(
    stuckTile(health),
    waitingTile(load.rows),
    slotsTile(load.rows),
    sweepTile(health),
    invariantsTile(health),
    debtsTile(debts.rows),
  );
}

function stuckTile({ stuck }) {
  const mood = stuck > 0 ? "bad" : "good";
  const to = address("/jobs", { status: "stuck" });
  const label = t("stuck_now");
  return tile("stuck", { label, value: number(stuck ?? 0), mood, to, question: 3 });
}

function waitingTile(providers) {
  const oldest = Math.max(0, ...providers.map((load) => load.oldest_waiting_seconds ?? 0));
  const waiting = providers.reduce((sum, load) => sum + load.waiting, 0);
  const value = waiting ? duration(oldest) : "–";
  const mood = oldest > LONG_WAIT ? "warn" : "good";
  const to = address("/jobs", { status: "queued", order: "oldest" });
  const text = t("waiting_now", { n: waiting });
  return tile("waiting", { label: t("oldest_waiting"), value, mood, text, to, question: 7 });
}

/**
 * `health` is not ok for one of four reasons: something is stuck, an invariant is violated, the
 * database refuses another deployment, or the last sweep is late. In the first three cases it does
 * not tell whether the sweep is late too.
 */
function sweepTile(health) {
  const { ok, lastSweepSeconds: age, stuck, violations, degraded = [] } = health;
  const elsewhere = health.wrongDeployment && t("sweep_elsewhere");
  const late = age === null || !(ok || elsewhere || stuck > 0 || violations > 0);
  const mood = late || elsewhere ? "bad" : ok && degraded.length === 0 ? "good" : "warn";
  const text = { bad: t("sweep_late"), good: t("sweep_good"), warn: "" }[mood];
  const why = degraded.filter(({ code }) => !["stuck", "invariants"].includes(code));
  const words = why.map(({ code, message }) => t.maybe(`degraded_${code}`) ?? message);
  const told = [...new Set([elsewhere, ...words])].filter(Boolean);
  const value = age === null ? "–" : duration(age);
  const isProvider = why.some(({ code }) => /provider|webhook/.test(code));
  const to = isProvider ? address("/providers") : address("/jobs", { status: "live" });
  const title = why.map(({ message }) => message).join(" ") || null;
  const question = (health.wrongDeployment && 14) || questionOf(why[0]?.code) || 2;
  const said = told.join(" ") || text;
  const shown = { label: t("last_sweep"), value, mood, text: said, to, title, question };
  return tile("sweep", shown);
}

function invariantsTile({ violations }) {
  const mood = violations > 0 ? "bad" : "good";
  const to = address("/violations");
  const value = number(violations ?? 0);
  return tile("invariants", { label: t("invariants"), value, mood, to, question: 1 });
}

function debtsTile(debts) {
  const owed = debts.reduce((sum, debt) => sum + debt.owed, 0);
  const mood = owed > 0 ? "warn" : "good";
  const text = t(`debts_${mood}`, { n: owed });
  const to = address("/money");
  const value = number(debts.length);
  return tile("debts", { label: t("debts"), value, mood, text, to, question: 6 });
}

function tile(name, { label, value, mood, to, title, question, text = t(`${name}_${mood}`) }) {
  const shown = h(
    "a",
    { class: `tile ${mood}`, "data-tile": name, href: to, title },
    h("span", { class: "tile-label" }, h("span", { class: "dot", "aria-hidden": "true" }), label),
    h("strong", { class: "tile-value" }, value),
    h("span", { class: "tile-text" }, text),
  );
  return h("div", { class: "tile-cell", "data-key": name }, shown, whatToDo(question));
}

function slotsTile(providers) {
  const label = link(address("/providers"), t("running_per_provider"), { class: "tile-label" });
  const list = h("ul", { class: "slots" }, providers.map(meter));
  const shown = h("div", { class: "tile", "data-tile": "slots" }, label, list);
  return h("div", { class: "tile-cell wide", "data-key": "slots" }, shown, whatToDo(7));
}

function meter(load) {
  const { provider, running, waiting, enabled } = load;
  const queue = waiting > 0 && h("small", {}, ` +${number(waiting)}`);
  const off = !enabled && h("em", {}, t("switched_off"));
  const to = address("/jobs", { provider, status: "live" });
  return h(
    "li",
    { class: !enabled && "off", "data-key": provider, "data-provider": provider },
    h("span", {}, link(to, provider), off, learnedLimit(load), circuit(load)),
    slotsBar(load),
    h("span", { class: "num" }, `${number(running)}/${number(limitOf(load))}`, queue),
  );
}

/** A note that the provider's learned limit is lower than the allowed number of steps. */
function learnedLimit({ learned_limit: learned, max_concurrent: allowed }) {
  return learned !== null && h("em", {}, t("takes_fewer", { learned, allowed }));
}

/** A note that the circuit of the provider, or of some of its tools, is open: their orders wait. */
function circuit({ circuit_open_until: open, circuit_reason: reason, circuits_of_tools: tools }) {
  const title = [open && reason && inWords("refuses", reason), ...tools.map(toolName)]
    .filter(Boolean)
    .join(", ");
  return (open || tools.length > 0) && h("em", { title }, t("circuit_open"));
}
