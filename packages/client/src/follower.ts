// Follows one job, from whatever is known of it, to its end.

import { asJobError, cancelled, isPassing, JobError, type JobErrorName } from "./errors.js";
import { notify } from "./listeners.js";
import type { Page } from "./page.js";
import { elapsed, firstUpdate, isFinal } from "./state.js";
import { QUEUE } from "./place.js";
import type { Job, Update } from "./types.js";
import { retried } from "./wait.js";

/** The number of queries for a job whose order had no answer. */
const LOST_LOOKS = 5;
/** While Realtime reports its changes, a running job is queried so many times less often. */
const TOLD_FACTOR = 5;
/**
 * The codes of a function's answer to a query after which no further one can succeed. A proxy's
 * page with the same statuses has no code.
 */
const LASTING: JobErrorName[] = ["bad_request", "forbidden", "not_found"];

type Listener = (update: Update) => void;
type Facts = Pick<Update, "createdAt" | "startedAt" | "completedAt" | "outputs">;

export class Follower {
  readonly page: Page;
  readonly id: string;
  readonly tool: string;
  /** The id of the job's user, once it is known. */
  user: string | undefined;
  /** When the job was ordered, by which lists are sorted; in milliseconds. */
  readonly since: number;
  update: Update;
  /** Whether this page ordered the job. Leaving the page cancels no other job. */
  own = false;
  /** Whether the order may have been sent. */
  ordered = false;
  /** Whether an order of this input would be the same order. */
  isOrderOf: (input: Record<string, any>) => boolean = () => false;
  /** The error of an order that has not been answered yet. */
  lost: unknown = null;
  /** Why a retry of that order was refused. */
  refusal: unknown = null;
  /** Aborted to end uploads and retries. */
  readonly abort = new AbortController();
  readonly job: Job;
  readonly #listeners = new Set<Listener>();
  #resolve!: (update: Update) => void;
  #reject!: (error: unknown) => void;
  #isStopped = false;
  /** Whether something happened for which the next query should not wait. */
  #isStirred = false;
  isFollowed = false;
  #hasLooked = false;
  #firstLook: Promise<void> | undefined;
  #stir = () => {};
  /** When this page saw the job begin to run, in milliseconds. */
  #seenRunning: number | null = null;

  constructor(page: Page, id: string, tool: string, known: Partial<Update>) {
    this.page = page;
    this.id = id;
    this.tool = tool;
    this.since = known.createdAt ? Date.parse(known.createdAt) : Date.now();
    this.update = firstUpdate(id, tool, known);
    const result = new Promise<Update>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A page that only subscribes does not handle this rejection, and should see no error of its
    // own.
    result.catch(() => {});
    this.job = this.#handle(result);
  }

  get isLive(): boolean {
    return !this.#isStopped && !isFinal(this.update.state);
  }

  set(change: Partial<Update>): void {
    if (!this.isLive) return;
    const { state } = this.update;
    const next = { ...this.update, ...change };
    if (next.state === "running" && (state === "waiting" || state === "uploading"))
      this.#seenRunning = Date.now();
    next.elapsedMs = elapsed(next, this.#seenRunning && Date.now() - this.#seenRunning);
    this.update = next;
    if (next.state === "done") this.#resolve(next);
    else if (isFinal(next.state)) this.#reject(next.error);
    this.page.changed(this, state !== next.state);
    notify(this.#listeners, next);
  }

  fail(error: unknown): void {
    const known = asJobError(error);
    this.set({
      state: known.code === "CANCELLED" ? "cancelled" : "failed",
      error: known,
      creditsRefunded: known.details.refundedCredits ?? 0,
    });
  }

  /** Stops following the job, which itself goes on. `isTold` reports the error to the listeners. */
  stop(error: JobError, isTold: boolean): void {
    if (isTold) this.set({ state: "failed", error });
    this.#isStopped = true;
    this.#listeners.clear();
    this.abort.abort();
    this.wake();
    this.#reject(error);
  }

  /** Makes the next query start at once. */
  wake(): void {
    this.#isStirred = true;
    this.#stir();
  }

  async #sleep(ms: number): Promise<void> {
    if (!this.#isStirred)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#stir = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#isStirred = false;
  }

  /** Resolves when the state of a job that was found in the database has been queried. */
  ready(): Promise<void> {
    const isOrder = this.own && !this.update.createdAt;
    return (this.#firstLook ??= isOrder || this.isFollowed ? Promise.resolve() : this.#lookFirst());
  }

  async #lookFirst(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      // The next caller does not get this error.
      this.#firstLook = undefined;
      throw error;
    }
  }

  /** Queries the job's state from its function. */
  async look(): Promise<void> {
    const { connection } = this.page;
    const { status } = await connection.endpoints(this.tool);
    const answer = await connection.call(status + this.id);
    const { changeBy } = await import("./change.js");
    const change = changeBy(answer, this.update);
    const { state, step } = this.update;
    const isNew = change.state !== state || change.step !== step || !this.#hasLooked;
    const facts = isNew ? await this.#facts(isFinal(change.state)) : {};
    this.#hasLooked = true;
    this.set({ ...change, ...facts });
  }

  /**
   * The fields that only the function `jobs` reports; null if it does not answer. A job that has
   * ended is not queried later, so the call is retried for it.
   */
  async #facts(hasEnded: boolean): Promise<Facts | null> {
    const { connection, pollMs } = this.page;
    const read = async () => (this.isLive ? connection.call(`jobs/${this.id}`) : null);
    const mayPass = (error: unknown) =>
      hasEnded && (isPassing(error) || asJobError(error).code === "rate_limited");
    // The job's own signal may be aborted by a cancel that the job has survived.
    const { signal } = new AbortController();
    const found = await retried(read, mayPass, pollMs, signal).catch(() => null);
    if (!found) return null;
    const { createdAt, startedAt, completedAt, outputs } = found;
    return { createdAt, startedAt, completedAt, outputs };
  }

  /**
   * Applies what changes by the answer to an order. If the job has ended, the answer lacks its
   * outputs and its times, so a query follows at once.
   */
  apply(change: Partial<Update>): void {
    if (isFinal(change.state)) this.wake();
    else this.set(change);
  }

  /** Queries the job until it ends: soon after a change, then at growing intervals. */
  async follow(): Promise<void> {
    if (this.isFollowed) return;
    this.isFollowed = true;
    let wait = this.page.pollMs;
    for (let looks = 1; this.isLive; looks++) {
      await this.#sleep(wait);
      if (!this.isLive) return;
      const before = this.update;
      let retryAfter = null;
      try {
        await this.look();
        this.lost = null;
      } catch (error) {
        if (this.#hasFailed(error, looks)) return;
        retryAfter = asJobError(error).details.retryAfter;
      }
      wait = retryAfter ? retryAfter * 1000 : this.#nextWait(before, wait);
    }
  }

  /** Whether a query failed so that no further one can succeed. */
  #hasFailed(error: unknown, looks: number): boolean {
    const { code } = asJobError(error);
    // The order may still arrive. After `LOST_LOOKS` queries it is given up. A second order of the
    // same input then uses the same id, or `jobs.resume` finds that the first one did arrive.
    if (this.lost) {
      if (looks < LOST_LOOKS) return false;
      this.page.lost.add(this);
      // Only this code proves that the order never arrived.
      const reason = this.abort.signal.aborted ? cancelled() : this.refusal;
      this.fail((code === "not_found" && reason) || this.lost);
    } else if (LASTING.includes(code)) this.fail(error);
    return !this.isLive;
  }

  #nextWait(before: Update, wait: number): number {
    const { pollMs, pollMaxMs } = this.page;
    const { state, position, step } = this.update;
    if (this.lost) return wait;
    if (state !== before.state || position !== before.position || step !== before.step)
      return pollMs;
    // The position changes without a change of the job's row, so Realtime does not report it.
    const isTold = this.page.feed.isJoined && state === "running";
    return Math.min(wait * 1.5, isTold ? pollMaxMs * TOLD_FACTOR : pollMaxMs);
  }

  async cancel(): Promise<void> {
    const { connection } = this.page;
    if (this.update.state === "uploading") {
      this.abort.abort();
      // The server refuses an order for this id that arrives later. The session of this call is the
      // job's id, so that no other waiting job of the page is cancelled.
      const body = { sessionId: this.id, jobIds: [this.id] };
      const { cancelledCount } = await connection.call(`${QUEUE}/cancel-session`, body);
      if (cancelledCount || !this.ordered) this.set({ state: "cancelled", error: cancelled() });
      return;
    }
    const body = { table: await connection.family(this.tool), jobId: this.id };
    const { refundedCredits } = await connection.call(`${QUEUE}/cancel`, body);
    this.set({ state: "cancelled", creditsRefunded: refundedCredits, error: cancelled() });
  }

  #handle(result: Promise<Update>): Job {
    const follower = this;
    return {
      id: this.id,
      tool: this.tool as Job["tool"],
      get update() {
        return follower.update;
      },
      result,
      subscribe(listener: Listener) {
        follower.#listeners.add(listener);
        notify([listener], follower.update);
        return () => follower.#listeners.delete(listener);
      },
      cancel: () => follower.cancel(),
    };
  }
}

/** The update that a row of the database's table `jobs` allows. */
export function knownBy(row: Record<string, any>): Partial<Update> {
  return {
    // A job that has ended counts as running until its function has reported its end.
    state: row.status === "queued" ? "waiting" : "running",
    input: row.input,
    creditsCharged: row.credits_charged,
    totalSteps: row.total_steps,
    createdAt: row.created_at,
    startedAt: row.started_at,
    progress: 1,
  };
}
