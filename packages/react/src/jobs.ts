// The page's jobs, and one of them.

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Job, JobError, ToolName, Update } from "@unstuck/client";
import { useJobs } from "./provider.js";
import { asJobError } from "./shared_value.js";

const NO_JOBS: Job[] = [];
const noJobs = () => NO_JOBS;
const nothing = () => null;
const stopNothing = () => {};

/**
 * The jobs known on this page, newest first: those ordered here and, soon after the first look, the
 * user's other live ones. It changes with each of them.
 */
export function useJobList(): Job[] {
  const jobs = useJobs();
  useEffect(() => {
    // Without a network or a user the list is what this page ordered.
    jobs.resume().catch(stopNothing);
  }, [jobs]);
  const subscribe = useCallback((listener: () => void) => jobs.subscribe(listener), [jobs]);
  const read = useCallback(() => jobs.list(), [jobs]);
  return useSyncExternalStore(subscribe, read, noJobs);
}

/** A job while it is looked for, followed, or not to be had. */
export interface FollowedJob<T extends ToolName = ToolName> {
  /** Null until it is found. */
  job: Job<T> | null;
  /** The newest of it. Where it failed, `update.error` says why. */
  update: Update<T> | null;
  /** Why it was not found. */
  error: JobError | null;
}

/** What came of looking for a job by its id. */
interface Search {
  id: string;
  job: Job | null;
  error: JobError | null;
}

/** The job that has that id, once it is found. */
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
 * Follows a job: one that `run` gave, or any of the user's by its id, live or long over. However
 * many components follow a job, it is asked for once. Null follows none.
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
