// The states of a job, and the update that a page has of it.

import type { State, Update } from "./types.js";

const FINAL: State[] = ["done", "failed", "cancelled"];

export const isFinal = (state: State | undefined) => state !== undefined && FINAL.includes(state);

export function firstUpdate(id: string, tool: string, known: Partial<Update>): Update {
  return {
    id,
    tool: tool as Update["tool"],
    state: "uploading",
    progress: 0,
    position: null,
    etaSeconds: null,
    step: null,
    totalSteps: null,
    outputUrl: null,
    outputs: [],
    input: {},
    answer: {},
    creditsCharged: null,
    creditsRefunded: 0,
    createdAt: null,
    startedAt: null,
    completedAt: null,
    elapsedMs: null,
    error: null,
    ...known,
  };
}

/**
 * How long the provider has worked, in milliseconds. `seenMs` is how long this page has seen it
 * work.
 */
export function elapsed(update: Update, seenMs: number | null): number | null {
  const { startedAt, completedAt } = update;
  if (startedAt && completedAt) return Date.parse(completedAt) - Date.parse(startedAt);
  // The clocks of server and browser may differ, so what this page has seen takes precedence.
  if (seenMs !== null) return seenMs;
  return startedAt ? Math.max(0, Date.now() - Date.parse(startedAt)) : null;
}
