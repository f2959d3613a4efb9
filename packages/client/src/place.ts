// Keeps the place in the queue of what this page waits for, and gives it up when the page is left:
// after a grace, in which a page that was only reloaded comes back.

import type { Connection } from "./connection.js";
import { asJobError } from "./errors.js";
import type { Follower } from "./follower.js";
import type { Options } from "./types.js";
import { uuid } from "./uuid.js";

export const QUEUE = "runninghub-queue-manager";
const GRACE_S = 30;
/** The longest grace there is, for a user who is at the checkout. */
const CHECKOUT_GRACE_S = 300;
const STAY_MS = 60_000;
/** The goodbye of the page before may arrive after our first word. */
const SECOND_STAY_MS = 10_000;
/**
 * Where a page that is left leaves its session for the next page of its tab, and after a space
 * something if the functions are old.
 */
const KEY = "unstuck.session";

let left: string[] | undefined;

/** What the page before has left, in the same tab. A copy of a tab finds nothing. */
function leftSession(): string[] {
  if (left) return left;
  try {
    left = sessionStorage.getItem(KEY)?.split(" ");
    sessionStorage.removeItem(KEY);
  } catch {
    // No browser, or one that keeps nothing.
  }
  return (left ??= []);
}

/** Leaves something for the next page, or takes that back. */
function leaveSession(text: string | null): void {
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // The next page begins anew.
  }
}

export class Place {
  readonly sessionId = leftSession()[0] ?? uuid();
  /** Whether the page is left for the checkout, from where its user comes back. */
  isShopping = false;
  readonly #connection: Connection;
  readonly #own: () => Follower[];
  readonly #keeps: boolean;
  readonly #graceSeconds: number;
  /** Whether the functions are known to be older ones, which know of no grace. */
  #isOld = leftSession().length > 1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `own` gives the live jobs that this page ordered. */
  constructor(connection: Connection, options: Options, own: () => Follower[]) {
    this.#connection = connection;
    this.#own = own;
    this.#keeps = options.onLeave === "keep";
    this.#graceSeconds = options.graceSeconds ?? GRACE_S;
  }

  #ids(state: "uploading" | "waiting"): string[] {
    const jobs = this.#own().filter((job) => job.update.state === state);
    return jobs.map((job) => job.id);
  }

  /** Says that the page is there, as long as something waits. */
  update(): void {
    const waits = !this.#keeps && this.#ids("waiting").length > 0;
    if (!waits) this.stop();
    else if (!this.#timer) this.#stay(SECOND_STAY_MS);
  }

  #stay(nextMs = STAY_MS): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stay(), nextMs);
    const sent = this.#connection.call(`${QUEUE}/stay`, { sessionId: this.sessionId });
    sent.then(
      () => (this.#isOld = false),
      (error) => {
        if (asJobError(error).status === 404) this.#isOld = true;
      },
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The page is hidden, for a moment or for good. */
  hide(): void {
    leaveSession(this.sessionId + (this.#isOld ? " old" : ""));
    this.stop();
    if (this.#keeps) return;
    if (this.isShopping) {
      if (!this.#isOld) this.#sayGoodbye(CHECKOUT_GRACE_S);
    } else if (this.#isOld) this.leave();
    else {
      const uploading = this.#ids("uploading");
      // No other page can continue an upload, so uploading jobs are cancelled. The session of this
      // call is a job's id, so that the page's waiting jobs are not cancelled with them.
      if (uploading.length > 0) this.#send("cancel-session", uploading[0]!, { jobIds: uploading });
      this.#sayGoodbye(this.#graceSeconds);
    }
  }

  /** The page is there again, from the memory of the browser. */
  show(): void {
    leaveSession(null);
    this.isShopping = false;
    this.update();
  }

  #sayGoodbye(graceSeconds: number): void {
    if (this.#ids("waiting").length > 0)
      this.#send("leave-session", this.sessionId, { graceSeconds });
  }

  /** Cancels what uploads or waits. */
  leave(): void {
    const jobIds = [...this.#ids("uploading"), ...this.#ids("waiting")];
    if (jobIds.length > 0) this.#send("cancel-session", this.sessionId, { jobIds });
  }

  #send(op: string, sessionId: string, rest: object): void {
    if (!this.#connection.token) return;
    const body = { sessionId, ...rest };
    // `keepalive`: the browser finishes the request after the page is gone.
    const sent = this.#connection.request(`${QUEUE}/${op}`, body, { keepalive: true });
    sent.catch(() => {});
  }
}
