// Runs jobs from a page: uploads the files, orders the job, follows it to its end, and gives up
// what waits when the page is left for good.
//
//   const jobs = createJobs(supabase);
//   const job = jobs.run("runninghub-upscaler", { file, resolution: 2048 });
//   job.subscribe(({ state, progress, position, etaSeconds }) => …);
//   const { outputUrl } = await job.result;
//
// It also tells what an order would cost, what the user has, and where to buy more. It never
// charges, counts or decides anything: the functions do.

import { Connection } from "./connection.js";
import { downloadOf } from "./download.js";
import { JobError } from "./errors.js";
import { isSame } from "./files.js";
import { Follower, knownBy } from "./follower.js";
import { historyOf } from "./history.js";
import { order } from "./order.js";
import { Page } from "./page.js";
import { priceOf } from "./price.js";
import { ledgerOf, namedBuyer, packsOf, toolsOf } from "./shop.js";
import type { Job, Jobs, Options, SupabaseClient } from "./types.js";
import { uuid } from "./uuid.js";

export type * from "./contract.js";
export { endpoints, type Endpoints } from "./endpoints.js";
export { JobError, type ClientErrorCode, type JobErrorName } from "./errors.js";
export { mayBePaid } from "./price.js";
export type * from "./types.js";

/** The columns of a job that is found. */
const COLUMNS =
  "id, tool, status, session_id, input, credits_charged, total_steps, created_at, started_at";

export function createJobs(supabase: SupabaseClient, options: Options = {}): Jobs {
  const connection = new Connection(supabase, options);
  const page = new Page(connection, options);
  const { place } = page;

  /** The follower of a job that the database has: the one there is, or a new one. */
  function found(row: Record<string, any>): Follower {
    const known = page.followers.get(row.id);
    if (known) return known;
    const job = new Follower(page, row.id, row.tool, knownBy(row));
    job.user = row.user_id;
    // Of the page before in this tab.
    job.own = row.session_id === place.sessionId;
    page.add(job);
    return job;
  }

  const rowsOf = async () => {
    const { user } = await connection.session();
    return connection.from("jobs").select(`${COLUMNS}, user_id`).eq("user_id", user.id);
  };

  return {
    get sessionId() {
      return place.sessionId;
    },
    leave: () => place.leave(),
    run(tool, input, { maxCredits = null } = {}) {
      const given = input as Record<string, any>;
      const lost = [...page.lost].find((job) => job.tool === tool && isSame(job.given, given));
      if (lost) page.lost.delete(lost);
      const job = new Follower(page, lost?.id ?? uuid(), tool, {});
      job.own = true;
      page.add(job);
      order(job, given, maxCredits, lost?.update.input);
      return job.job as unknown as Job<typeof tool>;
    },
    async resume() {
      page.open();
      const query = (await rowsOf())
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      const live = (await connection.rows(query)).map(found);
      for (const job of live) job.follow();
      return live.map(({ job }) => job);
    },
    async job(id) {
      page.open();
      const known = page.followers.get(id);
      if (known) return known.job;
      const [row] = await connection.rows((await rowsOf()).eq("id", id));
      if (!row) throw new JobError("not_found", "There is no such job", 404, { id });
      const job = found(row);
      await job.look();
      job.follow();
      return job.job;
    },
    list: () => page.list(),
    subscribe: (listener) => page.subscribe(listener),
    price: (tool, input) => priceOf(connection, tool, input),
    balance: () => page.wallet.read(),
    onBalance(listener) {
      page.open();
      return page.wallet.subscribe(listener);
    },
    tools: () => toolsOf(connection),
    packs: () => packsOf(connection),
    async buy(pack, { returnUrl } = {}) {
      const { user } = await connection.session();
      const url = options.buyUrl
        ? namedBuyer(options.buyUrl, user.id)
        : (await connection.call("purchase-checkout", { pack, returnUrl })).url;
      place.isShopping = true;
      globalThis.location?.assign(url);
      return url;
    },
    ledger: (query) => ledgerOf(connection, query),
    history: (query) => historyOf(connection, query),
    download: (job, { index } = {}) =>
      downloadOf(connection, typeof job === "string" ? job : job.id, index),
    dispose: () => page.dispose(),
  };
}
