// Keeps the queue positions of the page's waiting jobs. When the page is left, it gives them up
// after a grace period, in which a reloaded page comes back.

import type { Connection } from "./connection.js";
import { asJobError } from "./errors.js";
import type { Follower } from "./follower.js";
import type { Options } from "./types.js";
import { uuid } from "./uuid.js";

export const QUEUE = "runninghub-queue-manager";
const GRACE_S = 30;
/** The longest grace period that the server accepts. A user who is at the checkout gets it. */
const GRACE_MAX_S = 300;
const STAY_MS = 60_000;
/**
 * The second `stay` follows soon, because the `leave-session` of the page before may arrive after
 * the first.
 */
const SECOND_STAY_MS = 10_000;
/**
 * The key under which a page leaves its session id for the next page of its tab. A second word
 * after it says that the functions are old.
 */
const KEY = "unstuck.session";

let left: string[] | undefined;

/**
 * What the page before left in this tab. It is read once, so that a copied tab does not find it.
 */
function leftSession(): string[] {
  if (left) return left;
  try {
    left = sessionStorage.getItem(KEY)?.split(" ");
    sessionStorage.removeItem(KEY);
  } catch {
    // There is no browser, or it forbids storage.
  }
  return (left ??= []);
}

/** Leaves a text for the next page, or removes it. */
function leaveSession(text: string | null): void {
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // The next page starts a new session.
  }
}

/** Throws a RangeError for a value with which the server would refuse every leaving page. */
function graceSecondsOf(options: Options): number {
  const graceSeconds = options.graceSeconds ?? GRACE_S;
  if (Number.isInteger(graceSeconds) && graceSeconds >= 0 && graceSeconds <= GRACE_MAX_S)
    return graceSeconds;
  throw new RangeError(
    `graceSeconds must be a whole number from 0 to ${GRACE_MAX_S}: ${graceSeconds}`,
  );
}

export class Place {
  readonly sessionId = leftSession()[0] ?? uuid();
  /** Whether the user has gone to the checkout and is expected back. */
  isShopping = false;
  readonly #connection: Connection;
  readonly #own: () => Follower[];
  readonly #keeps: boolean;
  readonly #graceSeconds: number;
  /** Whether the functions are older ones, which know no grace period. */
  #isOld = leftSession().length > 1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `own` returns the live jobs that this page ordered. */
  constructor(connection: Connection, options: Options, own: () => Follower[]) {
    this.#connection = connection;
    this.#own = own;
    this.#keeps = options.onLeave === "keep";
    this.#graceSeconds = graceSecondsOf(options);
  }

  #ids(state: "uploading" | "waiting"): string[] {
    const jobs = this.#own().filter((job) => job.update.state === state);
    return jobs.map((job) => job.id);
  }

  /** Tells the server that the page is there, as long as a job waits. */
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

  /** Called when the page is hidden, for a moment or for good. */
  hide(): void {
    leaveSession(this.sessionId + (this.#isOld ? " old" : ""));
    this.stop();
    if (this.#keeps) return;
    if (this.isShopping) {
      if (!this.#isOld) this.#sayGoodbye(GRACE_MAX_S);
    } else if (this.#isOld) this.leave();
    else {
      const uploading = this.#ids("uploading");
      // No other page can continue an upload, so uploading jobs are cancelled. The session of this
      // call is a job's id, so that the page's waiting jobs are not cancelled with them.
      if (uploading.length > 0) this.#send("cancel-session", uploading[0]!, { jobIds: uploading });
      this.#sayGoodbye(this.#graceSeconds);
    }
  }

  /** Called when the browser shows the page again from its memory. */
  show(): void {
    leaveSession(null);
    this.isShopping = false;
    this.update();
  }

  #sayGoodbye(graceSeconds: number): void {
    if (this.#ids("waiting").length > 0)
      this.#send("leave-session", this.sessionId, { graceSeconds });
  }

  /** Cancels the uploading and the waiting jobs of this page. */
  leave(): void {
    const jobIds = [...this.#ids("uploading"), ...this.#ids("waiting")];
    if (jobIds.length > 0) this.#send("cancel-session", this.sessionId, { jobIds });
  }

  #send(op: string, sessionId: string, rest: object): void {
    if (!this.#connection.token) return;
    const body = { sessionId, ...rest };
    // With `keepalive` the browser finishes the request after the page is gone.
    const sent = this.#connection.request(`${QUEUE}/${op}`, body, { keepalive: true });
    sent.catch(() => {});
  }
}
