// Turns a function's answer about a job into fields of an update.

import { JobError } from "./errors.js";
import type { State, Update } from "./types.js";

/** The state for each status of functions and database. */
const STATES: Record<string, State> = {
  pending: "waiting",
  queued: "waiting",
  starting: "running",
  running: "running",
  processing: "running",
  generating: "running",
  completed: "done",
  failed: "failed",
  cancelled: "cancelled",
};

/** The fields that change by an answer of the tool's function. */
export function changeBy(answer: Record<string, any>, known: Update): Partial<Update> {
  const state = STATES[answer.status] ?? known.state;
  return {
    state,
    position: answer.position ?? null,
    etaSeconds: answer.etaSeconds ?? answer.estimated_time_seconds ?? null,
    step: answer.current_step ?? answer.completedCards ?? null,
    totalSteps: answer.total_steps ?? answer.totalCards ?? null,
    outputUrl: answer.outputUrl ?? answer.result_url ?? null,
    creditsCharged: answer.creditsCharged ?? answer.credits_charged ?? known.creditsCharged,
    creditsRefunded:
      answer.creditsRefunded ??
      answer.refundedCredits ??
      answer.credits_refunded ??
      known.creditsRefunded,
    error: state === "failed" || state === "cancelled" ? endedBecause(answer, state) : null,
    answer,
  };
}

/** The error of a failed or cancelled job, from its function's answer. */
function endedBecause(answer: Record<string, any>, state: State): JobError {
  const message: string = answer.errorMessage ?? answer.error_message ?? "";
  const [, code, text] = message.match(/^([A-Z_]+): ?(.*)$/s) ?? [null, null, message];
  const name = answer.errorCode ?? code ?? state.toUpperCase();
  return new JobError(name, text || state, 200, answer);
}
