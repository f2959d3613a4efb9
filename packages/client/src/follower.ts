// Follows one job, from whatever is known of it, to its end.

import { asJobError, cancelled, JobError } from "./errors.js";
import type { Page } from "./page.js";
import { changeBy, elapsed, firstUpdate, isFinal } from "./state.js";
import { QUEUE } from "./place.js";
import type { Job, Update } from "./types.js";

/** How often a job is queried whose order had no answer. */
const LOST_LOOKS = 5;
/** How much more seldom a running job is queried while its changes are told. */
const TOLD_FACTOR = 5;

type Listener = (update: Update) => void;
type Facts = Pick<Update, "createdAt" | "startedAt" | "completedAt" | "outputs">;

export class Follower {
  readonly page: Page;
  readonly id: string;
  readonly tool: string;
  /** Whose job it is, once that is known. */
  user: string | undefined;
  /** By this the newest comes first. */
  readonly since: number;
  update: Update;
  /** Whether this page ordered the job. Leaving the page cancels no other job. */
  own = false;
  /** Whether the order may have been sent. */
  ordered = false;
  /** What the page gave for the order. */
  given: Record<string, any> = {};
  /** The error of an order that had no answer yet. */
  lost: unknown = null;
  /** Ends uploads, and every wait. */
  readonly abort = new AbortController();
  readonly job: Job;
  readonly #listeners = new Set<Listener>();
  #resolve!: (update: Update) => void;
  #reject!: (error: unknown) => void;
  #isStopped = false;
  /** Whether something happened that the next query should not wait for. */
  #isStirred = false;
  isFollowed = false;
  #hasLooked = false;
  #firstLook: Promise<void> | undefined;
  #stir = () => {};
  /** When this page saw the job begin to run. */
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
    // A page that only subscribes does not handle this rejection; it is no error of the page.
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
    this.page.changed(this, state !== next.state);
    for (const listener of this.#listeners) listener(next);
    if (next.state === "done") this.#resolve(next);
    else if (isFinal(next.state)) this.#reject(next.error);
  }

  fail(error: unknown): void {
    const known = asJobError(error);
    this.set({
      state: known.code === "CANCELLED" ? "cancelled" : "failed",
      error: known,
      creditsRefunded: known.details.refundedCredits ?? 0,
    });
  }

  /** Ends everything here, whatever becomes of the job. */
  stop(error: JobError, isTold: boolean): void {
    if (isTold) this.set({ state: "failed", error });
    this.#isStopped = true;
    this.#listeners.clear();
    this.abort.abort();
    this.wake();
    this.#reject(error);
  }

  /** Lets the next query come at once. */
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

  /** Resolves once everything is known of a job that was found. */
  ready(): Promise<void> {
    const isOrder = this.own && !this.update.createdAt;
    return (this.#firstLook ??= isOrder || this.isFollowed ? Promise.resolve() : this.look());
  }

  /** Asks the job's function how it goes. */
  async look(): Promise<void> {
    const { connection } = this.page;
    const { status } = await connection.endpoints(this.tool);
    const change = changeBy(await connection.call(status + this.id), this.update);
    const { state, step } = this.update;
    const isNew = change.state !== state || change.step !== step || !this.#hasLooked;
    const facts = isNew ? await this.#facts() : {};
    this.#hasLooked = true;
    this.set({ ...change, ...facts });
  }

  /** What only `jobs` tells; nothing where it does not answer. */
  async #facts(): Promise<Facts | null> {
    const found = await this.page.connection.call(`jobs/${this.id}`).catch(() => null);
    if (!found) return null;
    const { createdAt, startedAt, completedAt, outputs } = found;
    return { createdAt, startedAt, completedAt, outputs };
  }

  /** Takes over what a function answered about the order. */
  apply(answer: Record<string, any>): void {
    this.set(changeBy(answer, this.update));
  }

  /** Queries the job until it has ended: soon after a change, then less and less often. */
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

  /** Whether a query failed in a way that no further one gets past. */
  #hasFailed(error: unknown, looks: number): boolean {
    const { status } = asJobError(error);
    // A lost order may still be on its way. If it stays unknown, the page may order it anew under
    // the same id, or find that it did arrive.
    if (this.lost) {
      if (looks < LOST_LOOKS) return false;
      this.page.lost.add(this);
      // Only the server knows that what was cancelled here never arrived.
      this.fail(this.abort.signal.aborted && status === 404 ? cancelled() : this.lost);
    } else if ([400, 403, 404].includes(status)) this.fail(error);
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
      // Names the job, so that an order already on its way is refused when it arrives; and this
      // job alone, whatever else of this page waits.
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
        listener(follower.update);
        return () => follower.#listeners.delete(listener);
      },
      cancel: () => follower.cancel(),
    };
  }
}

/** What a row of the database's table `jobs` says. */
export function knownBy(row: Record<string, any>): Partial<Update> {
  return {
    // A final job is taken to run until its function has told everything about it.
    state: row.status === "queued" ? "waiting" : "running",
    input: row.input,
    creditsCharged: row.credits_charged,
    totalSteps: row.total_steps,
    createdAt: row.created_at,
    startedAt: row.started_at,
    progress: 1,
  };
}
