// An earlier job, as the stage shows jobs.

import { declared } from "./tools.js";
import * as service from "./service.js";

const STATES = {
  queued: "waiting",
  running: "running",
  completed: "done",
  failed: "failed",
  cancelled: "cancelled",
};

/** The last update of a job, as far as it can be had. */
export async function past(id) {
  const [job, details] = await Promise.all([service.job(id), service.details([id])]);
  const { tool } = job;
  const { input = {}, total_steps: totalSteps = 1 } = details.get(id) ?? {};
  const state = STATES[job.status];
  const hasMore = state === "done" && ["cards", "files"].includes(declared(tool).result);
  return {
    id,
    tool,
    state,
    input,
    totalSteps,
    answer: hasMore ? await service.answer(tool, id) : {},
    outputUrl: job.outputs.find(({ url }) => url)?.url ?? null,
    step: null,
    position: job.position,
    etaSeconds: job.etaSeconds,
    progress: 1,
    creditsCharged: job.creditsCharged,
    creditsRefunded: job.creditsRefunded,
    error: job.error,
    startedAt: job.startedAt,
  };
}
