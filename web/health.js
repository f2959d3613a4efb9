// How the system is, at a glance: what is stuck, what waits, each provider's slots, the sweep, the invariants.

import { confirmed, duration, functionsUrl, h, icon, number, supabase, unread } from "./page.js";
import { t } from "./words.js";

/** Two periods of the sweep: later than this, it does not run. */
const SWEEP_LATE_S = 120;

export async function healthStrip(strip) {
  const [stored, load] = await Promise.all([
    fetch(`${functionsUrl}/health`)
      .then((response) => response.json())
      .catch(() => null),
    supabase.from("provider_load").select("*").order("provider"),
  ]);
  if (!stored || load.error)
    return strip.replaceChildren(h("p", { class: "problem", role: "alert" }, t("error_network")));
  const oldest = Math.max(0, ...load.data.map((provider) => provider.oldest_waiting_seconds ?? 0));
  const waiting = load.data.reduce((sum, provider) => sum + provider.waiting, 0);
  const { lastSweepSeconds: age, stuck, violations } = stored;
  const late = age === null || age > SWEEP_LATE_S;
  strip.replaceChildren(
    tile(
      "stuck",
      t("stuck_now"),
      number(stuck ?? 0),
      stuck > 0 ? "bad" : "good",
      t(stuck > 0 ? "stuck_bad" : "stuck_good"),
    ),
    tile(
      "waiting",
      t("oldest_waiting"),
      waiting ? duration(oldest) : "–",
      oldest > 600 ? "warn" : "good",
      t("waiting_now", { n: waiting }),
    ),
    slots(load.data),
    tile(
      "sweep",
      t("last_sweep"),
      age === null ? "–" : duration(age),
      late ? "bad" : "good",
      t(late ? "sweep_late" : "sweep_good"),
    ),
    tile(
      "invariants",
      t("invariants"),
      number(violations ?? 0),
      violations > 0 ? "bad" : "good",
      t(violations > 0 ? "invariants_bad" : "invariants_good"),
      violations > 0 && offences,
    ),
  );
}

function tile(name, label, value, mood, text, onopen) {
  const inside = [
    h("span", { class: "tile-label" }, h("span", { class: "dot", "aria-hidden": "true" }), label),
    h("strong", { class: "tile-value" }, value),
    h("span", { class: "tile-text" }, text),
  ];
  const attributes = { class: `tile ${mood}`, "data-tile": name };
  return onopen
    ? h("button", { type: "button", ...attributes, onclick: onopen }, inside)
    : h("div", attributes, inside);
}

function slots(providers) {
  const meter = ({ provider, running, max_concurrent: limit, waiting, enabled }) => {
    const fill = h("div", { class: running >= limit ? "bar-fill full" : "bar-fill" });
    fill.style.width = `${limit ? Math.min(100, (running / limit) * 100) : 0}%`;
    return h(
      "li",
      { class: !enabled && "off", "data-provider": provider },
      h("span", {}, provider, !enabled && h("em", {}, t("switched_off"))),
      h("div", { class: "bar", "aria-hidden": "true" }, fill),
      h(
        "span",
        { class: "num" },
        `${running}/${limit}`,
        waiting > 0 && h("small", {}, ` +${number(waiting)}`),
      ),
    );
  };
  return h(
    "div",
    { class: "tile wide", "data-tile": "slots" },
    h("span", { class: "tile-label" }, t("running_per_provider")),
    h("ul", { class: "slots" }, providers.map(meter)),
  );
}

async function offences() {
  const { data, error } = await supabase.from("invariant_violations").select("*").limit(20);
  const text = error
    ? unread(error)
    : data
        .map(({ invariant, subject, detail }) => `${invariant} · ${subject} · ${detail}`)
        .join("\n");
  await confirmed(t("invariants"), text, t("close"));
}
