// Hooks for the page's jobs and for one job.

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Job, JobError, ToolName, Update } from "@unstuck/client";
import { useJobs } from "./provider.js";
import { asJobError } from "./shared_value.js";

const NO_JOBS: Job[] = [];
const noJobs = () => NO_JOBS;
const nothing = () => null;
const stopNothing = () => {};

/**
 * The jobs known on this page, newest first: those ordered here and, once `resume` has found them,
 * the user's other live ones. The component is drawn at every change of one of them.
 */
export function useJobList(): Job[] {
  const jobs = useJobs();
  useEffect(() => {
    // Without a network or a user, the list has only what this page ordered.
    jobs.resume().catch(stopNothing);
  }, [jobs]);
  const subscribe = useCallback((listener: () => void) => jobs.subscribe(listener), [jobs]);
  const read = useCallback(() => jobs.list(), [jobs]);
  return useSyncExternalStore(subscribe, read, noJobs);
}

/** A job that is being searched for, is followed, or was not found. */
export interface FollowedJob<T extends ToolName = ToolName> {
  /** Null until the job is found. */
  job: Job<T> | null;
  /** The job's latest update. If the job failed, `update.error` says why. */
  update: Update<T> | null;
  /** Why the job was not found. */
  error: JobError | null;
}

/** The result of a search for a job by its id. */
interface Search {
  id: string;
  job: Job | null;
  error: JobError | null;
}

/** Searches for the job with that id. */
function useSearch(id: string | null): Search | null {
  const jobs = useJobs();
  const [search, setSearch] = useState<Search | null>(null);
  useEffect(() => {
    if (id === null) return;
    let isWanted = true;
    const show = (job: Job | null, error: JobError | null) =>
      isWanted && setSearch({ id, job, error });
    jobs.job(id).then(
      (job) => show(job, null),
      (error: unknown) => show(null, asJobError(error)),
    );
    return () => {
      isWanted = false;
    };
  }, [jobs, id]);
  return search?.id === id ? search : null;
}

/**
 * Follows a job that `run` returned, or any job of the user by its id, live or ended. However many
 * components follow a job, it is queried once. Null follows none.
 */
export function useJob<T extends ToolName = ToolName>(
  named: Job<T> | string | null,
): FollowedJob<T> {
  const search = useSearch(typeof named === "string" ? named : null);
  const job = typeof named === "string" ? ((search?.job as Job<T> | undefined) ?? null) : named;
  const subscribe = useCallback(
    (listener: () => void) => job?.subscribe(listener) ?? stopNothing,
    [job],
  );
  const read = useCallback(() => job?.update ?? null, [job]);
  const update = useSyncExternalStore(subscribe, read, nothing);
  return { job, update, error: search?.error ?? null };
}
