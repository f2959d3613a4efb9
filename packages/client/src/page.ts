// The jobs that one page follows, and what they share.

import type { Connection } from "./connection.js";
import { JobError } from "./errors.js";
import { Feed } from "./feed.js";
import type { Follower } from "./follower.js";
import { notify } from "./listeners.js";
import { Place } from "./place.js";
import type { Job, Options } from "./types.js";
import { Wallet } from "./wallet.js";

/** The limit of a project on the free plan, and of the bucket that the migrations make. */
const UPLOAD_BYTES_MAX = 50 * 1024 * 1024;

export class Page {
  readonly connection: Connection;
  readonly pollMs: number;
  readonly pollMaxMs: number;
  readonly uploadBytesMax: number;
  readonly feed: Feed;
  readonly place: Place;
  readonly wallet: Wallet;
  /** The followers by job id, so that every caller gets the same one. */
  readonly followers = new Map<string, Follower>();
  /** Orders of which nobody knows whether they arrived. */
  readonly lost = new Set<Follower>();
  /**
   * Aborted with the reason when the user changes or the page is disposed of, so that nothing which
   * began before brings its jobs back.
   */
  era = new AbortController();
  readonly #isTold: boolean;
  readonly #listeners = new Set<() => void>();
  /** The sorted list of jobs; null if it must be made anew. */
  #listed: Job[] | null = [];
  /** Ends the listeners that `open` has added. */
  #closing: AbortController | null = null;
  #user: string | null | undefined;

  constructor(connection: Connection, options: Options) {
    this.connection = connection;
    this.pollMs = options.pollMs ?? 700;
    this.pollMaxMs = options.pollMaxMs ?? 3000;
    this.uploadBytesMax = options.maxUploadBytes ?? UPLOAD_BYTES_MAX;
    this.#isTold = options.realtime ?? true;
    this.feed = new Feed(
      connection,
      (id) => this.followers.get(id)?.wake(),
      () => this.#wake(),
    );
    this.place = new Place(connection, options, () => this.live().filter((job) => job.own));
    this.wallet = new Wallet(connection);
  }

  live(): Follower[] {
    return [...this.followers.values()].filter((job) => job.isLive);
  }

  /** Starts to listen to the browser and to sign-ins. After `dispose` it can be called again. */
  open(): void {
    if (this.#closing) return;
    this.#closing = new AbortController();
    const { signal } = this.#closing;
    const on = (target: EventTarget | undefined, name: string, listener: () => void) =>
      target?.addEventListener?.(name, listener, { signal });
    on(globalThis, "pagehide", () => this.place.hide());
    on(globalThis, "pageshow", () => {
      this.place.show();
      this.wallet.refresh();
    });
    on(globalThis, "online", () => this.#wake());
    on(globalThis.document, "visibilitychange", () => this.#wake());
    const { data } = this.connection.supabase.auth.onAuthStateChange((_event, session) => {
      this.#meet(session?.user.id ?? null);
    });
    signal.addEventListener("abort", () => data.subscription.unsubscribe());
  }

  /** Makes every live job be queried at once. */
  #wake(): void {
    for (const job of this.live()) job.wake();
  }

  /**
   * When the user changes, stops the previous user's jobs with `signed_out` and forgets the
   * balance.
   */
  #meet(user: string | null): void {
    const before = this.#user;
    this.#user = user;
    if (before === undefined || before === user) return;
    this.feed.close();
    const error = new JobError("signed_out", "Another user is signed in, or nobody");
    // Where nobody was signed in, there is no previous user.
    if (before !== null) this.#endEra(error);
    for (const [id, job] of this.followers) {
      // A job that was begun before anybody signed in belongs to the user who signs in.
      if (job.user === user || (job.user === undefined && before === null)) continue;
      this.followers.delete(id);
      this.lost.delete(job);
      job.stop(error, true);
    }
    this.wallet.forget();
    this.#refresh();
    // The callback holds the lock for which every reader of the session waits, so the wallet is
    // read after it.
    if (user) setTimeout(() => this.wallet.refresh());
  }

  #endEra(error: JobError): void {
    this.era.abort(error);
    this.era = new AbortController();
  }

  add(job: Follower): void {
    this.open();
    this.followers.set(job.id, job);
    this.#refresh();
  }

  remove(job: Follower): void {
    this.followers.delete(job.id);
    this.#refresh();
  }

  changed(job: Follower, isNewState: boolean): void {
    this.#refresh();
    if (isNewState && job.update.state !== "uploading") this.wallet.refresh();
  }

  #refresh(): void {
    this.#listed = null;
    this.place.update();
    const followed = this.live().find((job) => job.update.state !== "uploading" && job.user);
    if (!followed) this.feed.close();
    else if (this.#isTold) this.feed.open(followed.user!);
    notify(this.#listeners);
  }

  list(): Job[] {
    const newestFirst = (a: Follower, b: Follower) => b.since - a.since;
    this.#listed ??= [...this.followers.values()].sort(newestFirst).map(({ job }) => job);
    return this.#listed;
  }

  subscribe(listener: () => void): () => void {
    this.open();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#closing?.abort();
    this.#closing = null;
    this.#user = undefined;
    this.#listeners.clear();
    this.wallet.clear();
    const error = new JobError("disposed", "Nobody follows this job any more");
    this.#endEra(error);
    for (const job of this.followers.values()) job.stop(error, false);
    this.followers.clear();
    this.lost.clear();
    this.#listed = [];
    this.feed.close();
    this.place.stop();
  }
}
