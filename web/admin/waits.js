// Says in one sentence why a job waits or how it ended.

import { duration, toolName } from "../format.js";
import { inWords, t } from "../words.js";
import { clock } from "./names.js";
import { limitOf } from "./slots.js";

const since = (text) => duration((Date.now() - Date.parse(text)) / 1000);

/** `load` is the provider's row of `provider_load`, `place` the job's row of `queue_positions`. */
export function sentence({ job, steps, load, place }) {
  if (job.quarantined_at) return t("state_quarantined");
  if (job.completed_at) return ended(job);
  const late = Date.parse(job.deadline_at) < Date.now();
  if (late) return t("state_late", { time: since(job.deadline_at) });
  if (job.status === "pending") return t("state_pending");
  const step = steps.find(({ status }) => ["starting", "running", "queued"].includes(status));
  if (!step) return t("state_no_step");
  const provider = step.provider;
  if (step.status === "starting") return t("state_starting", { provider });
  if (step.status === "running") return running(step);
  return waiting({ job, step, provider, load, place });
}

function ended(job) {
  const time = duration((Date.parse(job.completed_at) - Date.parse(job.created_at)) / 1000);
  if (job.status === "completed") return t("state_completed", { time });
  const { error_code: code, status } = job;
  const why = code ? inWords("code", code) : inWords("status", status);
  const n = job.credits_refunded;
  return [t("state_failed", { why, time }), n > 0 && t("state_returned", { n })]
    .filter(Boolean)
    .join(" ");
}

function running(step) {
  const { provider } = step;
  if (step.provider_done_at) return t("state_storing", { time: since(step.provider_done_at) });
  const from = step.started_at ?? step.sent_at;
  const until = clock(step.deadline_at);
  return t("state_running", { provider, time: from ? since(from) : "–", until });
}

function waiting({ job, step, provider, load, place }) {
  const told = [reason({ job, step, provider, load })];
  if (place) told.push(t("state_place", { n: place.position, eta: duration(place.eta_seconds) }));
  return told.filter(Boolean).join(" ");
}

function reason({ job, step, provider, load }) {
  if (load && !load.enabled) return t("wait_off", { provider });
  if (load?.circuit_open_until)
    return t(`wait_circuit_${load.circuit_reason === "place" ? "place" : "account"}`, {
      provider,
      at: clock(load.circuit_open_until),
    });
  if (load?.circuits_of_tools?.includes(job.tool))
    return t("wait_circuit_app", { provider, tool: toolName(job.tool) });
  if (step.not_before && Date.parse(step.not_before) > Date.now()) {
    const at = clock(step.not_before);
    if (step.error_code === "PROVIDER_BUSY") return t("wait_busy", { provider, at });
    const why = step.error_code ? inWords("code", step.error_code) : "";
    return t("wait_retry", { n: step.attempts + 1, at, why });
  }
  if (load && load.running >= limitOf(load)) {
    const key = load.learned_limit === null ? "wait_slots" : "wait_slots_learned";
    return t(key, { provider, n: limitOf(load), limit: limitOf(load) });
  }
  return t("wait_turn", { provider });
}
