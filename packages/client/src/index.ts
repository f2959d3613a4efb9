// Runs jobs from a page: uploads the files, orders the job, follows it to its end, and cancels
// waiting jobs when the page is left for good.
//
//   const jobs = createJobs(supabase);
//   const job = jobs.run("runninghub-upscaler", { file, resolution: 2048 });
//   job.subscribe(({ state, progress, position, etaSeconds }) => …);
//   const { outputUrl } = await job.result;
//
// It also tells the price of an order, the user's balance, and where to buy credits. It never
// charges, counts or decides anything: the functions do.

import { Connection } from "./connection.js";
import { cancelled, JobError } from "./errors.js";
import { Follower, knownBy } from "./follower.js";
import { Page } from "./page.js";
import type { Job, Jobs, Options, SupabaseClient } from "./types.js";
import { uuid } from "./uuid.js";
import { online } from "./wait.js";

export type * from "./contract.js";
export { endpoints, type Endpoints } from "./endpoints.js";
export { JobError, type ClientErrorCode, type JobErrorName } from "./errors.js";
export { mayBePaid } from "./payable.js";
export type * from "./types.js";

/** The columns that are read of a job. */
const COLUMNS = [
  "id, user_id, tool, status, session_id, input, credits_charged, total_steps",
  "created_at, started_at",
].join(", ");

export function createJobs(supabase: SupabaseClient, options: Options = {}): Jobs {
  const connection = new Connection(supabase, options);
  const page = new Page(connection, options);
  const { place } = page;

  /** The follower of a job in the database: the existing one, or a new one. */
  function found(row: Record<string, any>): Follower {
    const known = page.followers.get(row.id);
    // Only this page has given up the job, because its order had no answer. The order did arrive.
    if (known && !page.lost.delete(known)) return known;
    const job = new Follower(page, row.id, row.tool, knownBy(row));
    job.user = row.user_id;
    // The job was ordered by this page, or by the one before it in this tab.
    job.own = row.session_id === place.sessionId;
    page.add(job);
    return job;
  }

  const rowsOf = (user: string) => connection.from("jobs").select(COLUMNS).eq("user_id", user);

  async function find(id: string, signal: AbortSignal): Promise<Follower> {
    const known = page.followers.get(id);
    if (known && !page.lost.has(known)) return known;
    const { user } = await connection.session();
    const [row] = await connection.rows(rowsOf(user.id).eq("id", id));
    signal.throwIfAborted();
    if (row) return found(row);
    if (known) return known;
    throw new JobError("not_found", "There is no such job", 404, { id });
  }

  async function begin(
    job: Follower,
    given: Record<string, any>,
    maxCredits: number | null,
    uploaded?: Record<string, any>,
  ): Promise<void> {
    try {
      // The import needs the network too.
      await online(job.abort.signal);
      const { order } = await import("./order.js");
      await order(job, given, maxCredits, uploaded);
    } catch (error) {
      // The order was not sent, but an earlier one with its id may have arrived.
      if (job.lost && job.isLive) page.lost.add(job);
      job.fail(job.abort.signal.aborted ? cancelled() : error);
    }
  }

  return {
    get sessionId() {
      return place.sessionId;
    },
    leave: () => place.leave(),
    run(tool, input, { maxCredits = null } = {}) {
      const given = input as Record<string, any>;
      const lost = [...page.lost].find(
        // The server refuses an order under the id of a cancelled one.
        (job) => !job.abort.signal.aborted && job.tool === tool && job.isOrderOf(given),
      );
      const uploaded = lost?.update.input;
      const job = new Follower(page, lost?.id ?? uuid(), tool, { input: uploaded ?? given });
      if (lost) {
        page.lost.delete(lost);
        // The earlier order may have arrived, whatever becomes of this one.
        job.lost = lost.lost;
        job.isOrderOf = lost.isOrderOf;
      }
      job.own = true;
      page.add(job);
      begin(job, given, maxCredits, uploaded);
      return job.job as unknown as Job<typeof tool>;
    },
    async resume() {
      page.open();
      const { signal } = page.era;
      const { user } = await connection.session();
      const query = rowsOf(user.id)
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      const rows = await connection.rows(query);
      signal.throwIfAborted();
      const live = rows.map(found);
      for (const job of live) job.follow();
      return live.map(({ job }) => job);
    },
    async job(id) {
      page.open();
      const { signal } = page.era;
      const job = await find(id, signal);
      await job.ready().catch((error) => {
        signal.throwIfAborted();
        if (!job.isFollowed) page.remove(job);
        throw error;
      });
      signal.throwIfAborted();
      job.follow();
      return job.job;
    },
    list: () => page.list(),
    subscribe: (listener) => page.subscribe(listener),
    async price(tool, input) {
      const { priceOf } = await import("./price.js");
      return priceOf(connection, tool, input);
    },
    balance: () => page.wallet.read(),
    onBalance(listener) {
      page.open();
      return page.wallet.subscribe(listener);
    },
    async tools() {
      const { toolsOf } = await import("./shop.js");
      return toolsOf(connection);
    },
    async packs() {
      const { packsOf } = await import("./shop.js");
      return packsOf(connection);
    },
    async buy(pack, { returnUrl } = {}) {
      const { checkoutOf } = await import("./shop.js");
      const url = await checkoutOf(connection, options.buyUrl, { pack, returnUrl });
      place.isShopping = true;
      globalThis.location?.assign(url);
      return url;
    },
    async ledger(query) {
      const { ledgerOf } = await import("./shop.js");
      return ledgerOf(connection, query);
    },
    async history(query) {
      const { historyOf } = await import("./history.js");
      return historyOf(connection, query);
    },
    async download(job, { index } = {}) {
      const { downloadOf } = await import("./download.js");
      return downloadOf(connection, typeof job === "string" ? job : job.id, index);
    },
    dispose: () => page.dispose(),
  };
}
