// Runs jobs from a page: uploads the files, orders the job, follows it to its end, and cancels what
// waits when the page is left. Copy this one file into any app; it needs nothing but that app's
// supabase-js client.
//
//   const jobs = createJobs(supabase);
//   const job = jobs.run("runninghub-upscaler", { file, resolution: 2048 });
//   job.subscribe(({ state, progress, position, etaSeconds }) => …);
//   const { outputUrl } = await job.result;
//
// It also tells what an order would cost, what the user has, and where to buy more. It never
// charges, counts or decides anything: the functions do.

/** @typedef {import("@supabase/supabase-js").SupabaseClient<any, any, any>} SupabaseClient */

/** @typedef {"uploading" | "waiting" | "running" | "done" | "failed" | "cancelled"} State */

/**
 * What is known of a job.
 * @typedef {object} Update
 * @property {string} id
 * @property {string} tool
 * @property {State} state
 * @property {number} progress  Share of the upload that has arrived, 0 to 1.
 * @property {number | null} position  Position in the queue while it waits.
 * @property {number | null} etaSeconds  Estimated wait.
 * @property {number | null} step  Number of the running step, of a job with several.
 * @property {number | null} totalSteps
 * @property {string | null} outputUrl  The result, where it is one file.
 * @property {Record<string, any>} input  The order; after the upload with URLs in place of files.
 * @property {Record<string, any>} answer  The function's last answer, with what only one tool has.
 * @property {number | null} creditsCharged
 * @property {number} creditsRefunded
 * @property {JobError | null} error  Why it failed or was cancelled.
 */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} tool
 * @property {Update} update  The newest.
 * @property {Promise<Update>} result  Resolves when the job is done, rejects with a JobError when
 *   it failed or was cancelled.
 * @property {(listener: (update: Update) => void) => () => void} subscribe  Calls the listener at
 *   once and at every change; returns the function that stops this.
 * @property {() => Promise<void>} cancel  Cancels a job that uploads or waits; one that runs only
 *   where its tool allows it.
 */

/**
 * @typedef {object} Limits
 * @property {number | null} [maxCredits]  An order that costs more is refused: `price_changed`.
 */

/**
 * What an order would cost now.
 * @typedef {object} Price
 * @property {number} credits
 * @property {number | null} balance  What the user may spend; null where nobody is signed in.
 * @property {boolean | null} enough  Whether that pays for it; null where nobody is signed in.
 * @property {number | null} etaSeconds  Estimated wait until the job starts.
 * @property {string | null} unmeasured  The unit (`second` or `megapixel`) of a price that depends
 *   on files which nobody can measure yet: it will not be more than `credits`.
 * @property {number} lowest  Nor will it be less; `credits`, where the price is known.
 */

/**
 * One rule of a tool's price: it holds for the inputs that meet every condition of `matches`.
 * @typedef {object} PriceRule
 * @property {Record<string, any>} matches
 * @property {number} credits
 * @property {"job" | "step" | "second" | "megapixel"} pricedPer
 * @property {number | null} creditsMin  The least that such an order costs, by second or megapixel.
 */

/**
 * A tool that is on sale. The first rule that holds gives the price, else `credits` do.
 * @typedef {object} Tool
 * @property {string} tool
 * @property {number} credits
 * @property {"job" | "step"} pricedPer
 * @property {PriceRule[]} rules
 */

/**
 * Credits that are sold together.
 * @typedef {object} Pack
 * @property {string} pack
 * @property {number} credits
 * @property {boolean} recurring  Whether it is a subscription.
 * @property {Record<string, { name?: string, price?: string }>} words  By language.
 */

/** How credits are given. @typedef {"grant" | "purchase" | "bonus" | "goodwill"} GiftKind */

/**
 * What changed the balance.
 * @typedef {object} Entry
 * @property {number} id
 * @property {string} at
 * @property {GiftKind | "debit" | "refund" | "adjustment" | "chargeback"} kind
 * @property {number} amount
 * @property {number} balanceAfter
 * @property {string | null} reason
 * @property {string | null} jobId
 * @property {string | null} tool  Of the job.
 */

/**
 * @typedef {object} LedgerQuery
 * @property {number | null} [cursor]  The `next` of the page before.
 * @property {number} [limit]
 */

/**
 * @typedef {object} LedgerPage
 * @property {Entry[]} entries
 * @property {number | null} next  The cursor of the next page, if there is one.
 */

/**
 * @typedef {object} Options
 * @property {string} [functionsUrl]  Address of the functions, where the client's own address is
 *   not the gateway's: "https://<your gateway>/functions/v1".
 * @property {string | null} [buyUrl]  The app's own page that sells credits, if it has one. It gets
 *   the user's id as `client_reference_id`, as a payment link does.
 * @property {string} [bucket]  The bucket that inputs are uploaded to.
 * @property {number} [pollMs]  Shortest time between two queries of a job, in milliseconds.
 * @property {number} [pollMaxMs]  Longest.
 */

/**
 * @typedef {object} Jobs
 * @property {string} sessionId  Names this page; the functions cancel what waits by it.
 * @property {(tool: string, input: Record<string, any>, limits?: Limits) => Job} run  Orders a job.
 *   Uploads every Blob in `input` first, unless the order cannot be paid; `file` stands for a
 *   tool's only file.
 * @property {() => Promise<Job[]>} resume  The user's live jobs, newest first: what a page shows
 *   after a reload.
 * @property {() => void} leave  Cancels what this page uploads or waits for. A page that is left
 *   calls it by itself.
 * @property {(tool: string, input: Record<string, any>) => Promise<Price>} price  What the order
 *   would cost; nobody needs to be signed in, and files may be missing. A browser tells the
 *   length of a video that is not uploaded yet; the order is charged by what arrives.
 * @property {() => Promise<{ balance: number, debt: number }>} balance  What the user has, and owes
 *   from payments that were returned.
 * @property {() => Promise<Tool[]>} tools  What is on sale; nobody needs to be signed in.
 * @property {() => Promise<Pack[]>} packs  The credits on sale; nobody needs to be signed in.
 * @property {(pack: string, options?: { returnUrl?: string }) => Promise<string>} buy  Goes to the
 *   page where the pack is paid, and resolves to its address. What waits goes on waiting. The
 *   checkout comes back with `?purchase=paid` or `cancelled`.
 * @property {(page?: LedgerQuery) => Promise<LedgerPage>} ledger  The user's entries, newest first.
 */

/**
 * How the functions of one tool are called.
 * @typedef {object} Endpoints
 * @property {string} order  The path that takes the order.
 * @property {string} status  The path that tells the state of a job, up to the job's id.
 * @property {string} idField  The field of the order that holds the job's id.
 * @property {string} sessionField  The field of the order that names the page.
 * @property {string} fileField  The field of the order that `file` stands for.
 */

/**
 * What is special about the tools of a family. A family is the table that older pages know its jobs
 * by: `tools.table_name`.
 * @type {Record<string, (tool: string) => Partial<Endpoints>>}
 */
const FAMILIES = {
  video_upscaler_jobs: () => ({ fileField: "videoUrl" }),
  generation_jobs: (tool) => ({ order: tool, status: `${tool}?jobId=` }),
  generation_history: (tool) => ({ order: tool, status: `${tool}?id=` }),
  replicate_tasks: (tool) => ({
    order: tool,
    status: "replicate-async-status?task_id=",
    idField: "job_id",
    sessionField: "session_id",
  }),
};

/** @param {string} tool @param {string} [family] @returns {Endpoints} */
export function endpoints(tool, family) {
  return {
    order: `${tool}/run`,
    status: `${tool}/queue-status?jobId=`,
    idField: "jobId",
    sessionField: "sessionId",
    fileField: "imageUrl",
    ...FAMILIES[family ?? ""]?.(tool),
  };
}

/** The state for each status that a function answers. */
const STATES = {
  pending: "waiting",
  queued: "waiting",
  starting: "running",
  running: "running",
  processing: "running",
  generating: "running",
  completed: "done",
  failed: "failed",
  cancelled: "cancelled",
};

const QUEUE = "runninghub-queue-manager";
const ORDER_TRIES = 4;
/** How often a job is queried whose order had no answer. */
const LOST_LOOKS = 5;
/** Types by ending, for files of which the system knows no type. @type {Record<string, string>} */
const TYPES = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  avif: "image/avif",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
};
/** How long a browser may take to read the head of a video. */
const METADATA_MS = 3000;
const FINAL = ["done", "failed", "cancelled"];
/** Codes of errors that a retry may get past. */
const PASSING = ["network", "upstream_unavailable", "internal"];

/** What went wrong: the `code` of the API (or of the failed job) and every field of its answer. */
export class JobError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} [status]  Of the answer; 0 where there was none.
   * @param {Record<string, any>} [details]
   */
  constructor(code, message, status = 0, details = {}) {
    super(message);
    this.name = "JobError";
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** Calls the functions, the database and the storage as the signed-in user. */
class Connection {
  /** @param {SupabaseClient} supabase */
  constructor(supabase, /** @type {Options} */ options) {
    this.supabase = supabase;
    this.project = /** @type {any} */ (supabase);
    const functionsUrl = options.functionsUrl ?? `${this.project.supabaseUrl}/functions/v1`;
    this.base = functionsUrl.replace(/\/$/, "");
    this.bucket = supabase.storage.from(options.bucket ?? "uploads");
    /** @type {string | undefined} */
    this.token = undefined;
    /** The family of each tool, once it was read. @type {Map<string, string> | undefined} */
    this.families = undefined;
    /** Whether a gateway answers at the functions' address. @type {Promise<boolean> | undefined} */
    this.gateway = undefined;
  }

  /** Refuses an address where something else answers than a gateway. */
  async findGateway() {
    const asked = (this.gateway ??= this.isGateway());
    // One that does not answer now may answer the call, and is asked by the next.
    if (!(await asked) && this.gateway === asked) this.gateway = undefined;
  }

  /** Whether a gateway answers; throws where something else does. */
  async isGateway() {
    const response = await fetch(`${this.base}/health`).catch(() => null);
    if (!response) return false;
    const answer = await response.json().catch(() => null);
    if (typeof answer?.ok === "boolean" || typeof answer?.request_id === "string") return true;
    if (response.status >= 500) return false;
    const example = "https://<your gateway>/functions/v1";
    const advice = `set functionsUrl to your gateway's address: "${example}"`;
    throw new JobError("misconfigured", `No gateway answers at ${this.base}; ${advice}`);
  }

  /** The session, or null where nobody is signed in. */
  async visit() {
    await this.findGateway();
    const { data } = await this.supabase.auth.getSession();
    this.token = data.session?.access_token;
    return data.session;
  }

  async session() {
    const session = await this.visit();
    if (!session) throw new JobError("unauthorized", "Sign in first", 401);
    return session;
  }

  /** @param {string} table */
  from(table) {
    return this.supabase.schema("unstuck").from(table);
  }

  /** @param {string} tool */
  async family(tool) {
    if (!this.families) {
      const tools = await rows(this.from("tools").select("tool, table_name"));
      this.families = new Map(tools.map((row) => [row.tool, row.table_name]));
    }
    return this.families.get(tool);
  }

  /** @param {string} tool */
  async endpoints(tool) {
    return endpoints(tool, await this.family(tool));
  }

  /**
   * The input with the tool's own name for its file in place of `file`.
   * @param {string} tool @param {Record<string, any>} given @returns {Promise<Record<string, any>>}
   */
  async named(tool, given) {
    const { file, ...rest } = given;
    return file ? { ...rest, [(await this.endpoints(tool)).fileField]: file } : rest;
  }

  /** @param {string} tool @param {Record<string, any>} given @returns {Promise<Price>} */
  async price(tool, given) {
    const named = await this.named(tool, given);
    const durationSeconds = await secondsOf(Object.values(named).find(isVideo));
    const input = { ...(durationSeconds && { durationSeconds }), ...withoutFiles(named) };
    await this.visit();
    const answer = await this.answer("quote", { tool, input });
    const { credits, balance = null, enough = null, etaSeconds = null } = answer;
    const { unmeasured = null, lowest = credits } = answer;
    return { credits, balance, enough, etaSeconds, unmeasured, lowest };
  }

  /** @returns {Promise<{ balance: number, debt: number }>} */
  async balance() {
    await this.session();
    const read = () => rows(this.from("my_balance").select("balance, debt, waits"));
    let [wallet] = await read();
    if (wallet?.waits) {
      // It gives what waits. Where it cannot, the balance is what it was.
      await this.answer(`${QUEUE}/check-user-active`).catch(() => {});
      [wallet] = await read();
    }
    return { balance: wallet?.balance ?? 0, debt: wallet?.debt ?? 0 };
  }

  /**
   * Refuses an order that cannot be paid or costs more than was agreed, at the least that it may
   * cost; beyond that the order itself will tell.
   * @param {string} tool @param {Record<string, any>} given @param {number | null} maxCredits
   */
  async refuseUnpaid(tool, given, maxCredits) {
    const asked = Promise.all([this.price(tool, given), this.balance()]);
    const [price, wallet] = await asked.catch((error) => {
      if ([...PASSING, "not_found"].includes(error.code)) return [null, null];
      throw error;
    });
    if (!price || !wallet) return;
    const { lowest } = price;
    if (maxCredits !== null && lowest > maxCredits)
      throw new JobError("price_changed", `This costs ${lowest} credits now`, 409, {
        credits: lowest,
      });
    if (mayBePaid(price) && wallet.debt === 0) return;
    const details = { balance: price.balance, required: lowest, debt: wallet.debt };
    throw new JobError("insufficient_credits", "There are not enough credits", 402, details);
  }

  /** @param {string} path @param {object} [body] @param {RequestInit} [init] */
  request(path, body, init) {
    return fetch(`${this.base}/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        authorization: `Bearer ${this.token ?? this.project.supabaseKey}`,
        apikey: this.project.supabaseKey,
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
      ...init,
    });
  }

  /** Calls a function as the signed-in user. @param {string} path @param {object} [body] */
  async call(path, body) {
    await this.session();
    return this.answer(path, body);
  }

  /**
   * The body of a good answer; throws a JobError for every other one.
   * @param {string} path @param {object} [body]
   */
  async answer(path, body) {
    let response;
    try {
      response = await this.request(path, body);
    } catch (error) {
      throw new JobError("network", error instanceof Error ? error.message : String(error));
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const retryAfter = Number(response.headers.get("retry-after")) || null;
    const [code, message] = [answer.code ?? "internal", answer.message ?? response.statusText];
    throw new JobError(code, message, response.status, { ...answer, retryAfter });
  }

  /**
   * Uploads a file; returns its public URL.
   * @param {Blob} file @param {string} path @param {(bytes: number) => void} onProgress
   * @param {AbortSignal} signal
   */
  async upload(file, path, onProgress, signal) {
    // Some browsers lose a file's content between the choice and the upload.
    if (file.size === 0) throw new JobError("upload_failed", "The file is empty; choose it anew");
    const { data, error } = await this.bucket.createSignedUploadUrl(path);
    if (error) throw new JobError("upload_failed", error.message);
    signal.throwIfAborted();
    const typed = file.type ? file : file.slice(0, file.size, TYPES[extension(file).slice(1)]);
    if (typeof XMLHttpRequest === "undefined") {
      const options = { contentType: typed.type };
      const sent = await this.bucket.uploadToSignedUrl(path, data.token, typed, options);
      if (sent.error) throw new JobError("upload_failed", sent.error.message);
    } else {
      await put(data.signedUrl, typed, onProgress, signal, this.project.supabaseKey);
    }
    onProgress(file.size);
    return this.bucket.getPublicUrl(path).data.publicUrl;
  }
}

/** What the jobs of one page share. */
class Page {
  /** @param {Connection} connection @param {Options} options */
  constructor(connection, options) {
    this.connection = connection;
    this.pollMs = options.pollMs ?? 700;
    this.pollMaxMs = options.pollMaxMs ?? 3000;
    this.sessionId = crypto.randomUUID();
    /** Jobs that have not ended. @type {Set<Follower>} */
    this.live = new Set();
    /** Orders of which nobody knows whether they arrived. @type {Set<Follower>} */
    this.lost = new Set();
    /** Whether the page is left for the checkout, from where its user comes back. */
    this.isShopping = false;
  }

  /** Repeats what failed for a passing reason. @template T @param {() => Promise<T>} work */
  async retried(work) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        const { code } = /** @type {JobError} */ (error);
        if (tries === ORDER_TRIES || !PASSING.includes(code)) throw error;
        await pause(this.pollMs * 2 ** tries);
      }
    }
  }

  leave() {
    const jobIds = [...this.live]
      .filter((job) => job.own && ["uploading", "waiting"].includes(job.update.state))
      .map((job) => job.id);
    if (jobIds.length === 0 || !this.connection.token) return;
    const body = { sessionId: this.sessionId, jobIds };
    // `keepalive`: the browser finishes the request after the page is gone.
    const sent = this.connection.request(`${QUEUE}/cancel-session`, body, { keepalive: true });
    sent.catch(() => {});
  }
}

/** Follows one job, from whatever is known of it, to its end. */
class Follower {
  /** @param {Page} page @param {string} id @param {string} tool @param {Partial<Update>} known */
  constructor(page, id, tool, known) {
    this.page = page;
    this.connection = page.connection;
    this.id = id;
    this.tool = tool;
    /** @type {Set<(update: Update) => void>} */
    this.listeners = new Set();
    this.abort = new AbortController();
    /** Whether this page ordered the job. Leaving the page cancels no other job. */
    this.own = false;
    this.ordered = false;
    /** What the page gave for the order. @type {Record<string, any>} */
    this.given = {};
    /** The error of an order whose answers were all lost. @type {unknown} */
    this.lost = null;
    this.wake = () => {};
    /** @type {Update} */
    this.update = {
      id,
      tool,
      state: "uploading",
      progress: 0,
      position: null,
      etaSeconds: null,
      step: null,
      totalSteps: null,
      outputUrl: null,
      input: {},
      answer: {},
      creditsCharged: null,
      creditsRefunded: 0,
      error: null,
      ...known,
    };
    this.result = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    // A page that only subscribes does not handle this rejection; it is no error of the page.
    this.result.catch(() => {});
    page.live.add(this);
  }

  /** @param {Partial<Update>} change */
  set(change) {
    if (FINAL.includes(this.update.state)) return;
    this.update = { ...this.update, ...change };
    const { state } = this.update;
    if (FINAL.includes(state)) this.page.live.delete(this);
    for (const listener of this.listeners) listener(this.update);
    const { resolve, reject } = /** @type {any} */ (this);
    if (state === "done") resolve(this.update);
    else if (FINAL.includes(state)) reject(this.update.error);
  }

  /** Takes over what a function answered about the job. @param {Record<string, any>} answer */
  apply(answer) {
    const known = this.update;
    const status = /** @type {keyof typeof STATES} */ (answer.status);
    const state = /** @type {State | undefined} */ (STATES[status]);
    const ended = state === "failed" || state === "cancelled";
    this.set({
      state: state ?? known.state,
      position: answer.position ?? null,
      etaSeconds: answer.etaSeconds ?? answer.estimated_time_seconds ?? null,
      step: answer.current_step ?? answer.completedCards ?? null,
      totalSteps: answer.total_steps ?? answer.totalCards ?? null,
      outputUrl: answer.outputUrl ?? answer.result_url ?? null,
      creditsCharged: answer.creditsCharged ?? answer.credits_charged ?? known.creditsCharged,
      creditsRefunded:
        answer.creditsRefunded ??
        answer.refundedCredits ??
        answer.credits_refunded ??
        known.creditsRefunded,
      error: ended ? endedBecause(answer, state) : null,
      answer,
    });
  }

  /** @param {unknown} error */
  fail(error) {
    const known = error instanceof JobError ? error : new JobError("internal", String(error));
    this.set({
      state: this.abort.signal.aborted ? "cancelled" : "failed",
      error: known,
      creditsRefunded: known.details.refundedCredits ?? 0,
    });
  }

  /**
   * Orders the job. `uploaded` is the input of an earlier order with this id: the server takes the
   * same order once, however often it arrives.
   * @param {Record<string, any>} given @param {number | null} maxCredits
   * @param {Record<string, any>} [uploaded]
   */
  async start(given, maxCredits, uploaded) {
    try {
      this.given = given;
      this.set({ input: given });
      const { connection, page, tool } = this;
      const { order, idField, sessionField } = await page.retried(() => connection.endpoints(tool));
      const named = await connection.named(tool, given);
      if (!uploaded && hasFiles(named)) await connection.refuseUnpaid(tool, named, maxCredits);
      this.abort.signal.throwIfAborted();
      const input = uploaded ?? (await this.uploaded(named));
      this.set({ input, progress: 1 });
      this.abort.signal.throwIfAborted();
      this.ordered = true;
      const limit = maxCredits !== null && { maxCredits };
      const body = { ...input, ...limit, [idField]: this.id, [sessionField]: page.sessionId };
      // The same id makes a retry harmless, so that a lost answer costs nothing.
      const ordered = page.retried(() => connection.call(order, body));
      const answer = await ordered.catch((error) => {
        if (!PASSING.includes(error.code)) throw error;
        this.lost = error;
      });
      if (answer) this.apply(answer);
      await this.follow();
    } catch (error) {
      this.fail(this.abort.signal.aborted ? new JobError("CANCELLED", "Cancelled") : error);
    }
  }

  /**
   * Uploads every file of the input, under a path that holds the job's id; returns the input with
   * URLs in place of files.
   * @param {Record<string, any>} input
   */
  async uploaded(input) {
    const { user } = await this.connection.session();
    /** Bytes that have arrived, by file. @type {Map<Blob, number>} */
    const arrived = new Map();
    const visit = /** @param {any} value @returns {Promise<any>} */ async (value) => {
      if (value instanceof Blob) {
        arrived.set(value, 0);
        const path = `${user.id}/${this.id}/${crypto.randomUUID()}${extension(value)}`;
        const onProgress = (/** @type {number} */ bytes) => {
          arrived.set(value, bytes);
          this.set({ progress: share(arrived) });
        };
        return this.connection.upload(value, path, onProgress, this.abort.signal);
      }
      if (Array.isArray(value)) return Promise.all(value.map(visit));
      if (value === null || typeof value !== "object") return value;
      const fields = Object.entries(value).map(async ([name, part]) => [name, await visit(part)]);
      return Object.fromEntries(await Promise.all(fields));
    };
    return visit(input);
  }

  /** Queries the job until it has ended: soon after a change, then less and less often. */
  async follow() {
    const { pollMs, pollMaxMs } = this.page;
    let wait = pollMs;
    let looks = 0;
    while (!FINAL.includes(this.update.state)) {
      await new Promise((resolve) => {
        this.wake = () => resolve(undefined);
        setTimeout(this.wake, wait);
      });
      const before = this.update;
      try {
        const { status } = await this.connection.endpoints(this.tool);
        this.apply(await this.connection.call(status + this.id));
        this.lost = null;
      } catch (error) {
        const { status, details } = /** @type {JobError} */ (error);
        // A lost order may still be on its way. If it stays unknown, the page may order it anew
        // under the same id.
        if (this.lost) {
          if (++looks < LOST_LOOKS) continue;
          this.page.lost.add(this);
          return this.fail(this.lost);
        }
        // These stay as they are; every other error may pass.
        if ([400, 403, 404].includes(status)) return this.fail(error);
        if (details?.retryAfter) {
          wait = details.retryAfter * 1000;
          continue;
        }
      }
      const { state, position, step } = this.update;
      const moved = state !== before.state || position !== before.position || step !== before.step;
      wait = moved ? pollMs : Math.min(wait * 1.5, pollMaxMs);
    }
  }

  async cancel() {
    const error = new JobError("CANCELLED", "Cancelled");
    if (this.update.state === "uploading") {
      this.abort.abort();
      // Names the job, so that an order already on its way is refused when it arrives; and this
      // job alone, whatever else of this page waits.
      const body = { sessionId: this.id, jobIds: [this.id] };
      const { cancelledCount } = await this.connection.call(`${QUEUE}/cancel-session`, body);
      if (cancelledCount || !this.ordered) this.set({ state: "cancelled", error });
      return;
    }
    const body = { table: await this.connection.family(this.tool), jobId: this.id };
    const { refundedCredits } = await this.connection.call(`${QUEUE}/cancel`, body);
    this.set({ state: "cancelled", creditsRefunded: refundedCredits, error });
  }

  /** @returns {Job} */
  handle() {
    const follower = this;
    return {
      id: this.id,
      tool: this.tool,
      get update() {
        return follower.update;
      },
      result: /** @type {Promise<Update>} */ (this.result),
      subscribe(listener) {
        follower.listeners.add(listener);
        listener(follower.update);
        return () => follower.listeners.delete(listener);
      },
      cancel: () => follower.cancel(),
    };
  }
}

/**
 * @param {SupabaseClient} supabase
 * @param {Options} [options]
 * @returns {Jobs}
 */
export function createJobs(supabase, options = {}) {
  const connection = new Connection(supabase, options);
  const page = new Page(connection, options);
  const leave = () => page.leave();
  globalThis.addEventListener?.("pagehide", () => page.isShopping || leave());
  globalThis.addEventListener?.("pageshow", () => (page.isShopping = false));
  globalThis.document?.addEventListener("visibilitychange", () => {
    for (const job of page.live) job.wake();
  });

  return {
    sessionId: page.sessionId,
    leave,
    run(tool, input, { maxCredits = null } = {}) {
      const lost = [...page.lost].find((job) => job.tool === tool && isSame(job.given, input));
      if (lost) page.lost.delete(lost);
      const job = new Follower(page, lost?.id ?? crypto.randomUUID(), tool, {});
      job.own = true;
      job.start(input, maxCredits, lost?.update.input);
      return job.handle();
    },
    async resume() {
      const { user } = await connection.session();
      const query = connection
        .from("jobs")
        .select("id, tool, status, input, credits_charged, total_steps")
        .eq("user_id", user.id)
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      return (await rows(query)).map((row) => {
        const status = /** @type {keyof typeof STATES} */ (row.status);
        const job = new Follower(page, row.id, row.tool, {
          state: /** @type {State} */ (STATES[status]),
          input: row.input,
          creditsCharged: row.credits_charged,
          totalSteps: row.total_steps,
          progress: 1,
        });
        job.follow();
        return job.handle();
      });
    },
    price: (tool, input) => connection.price(tool, input),
    balance: () => connection.balance(),
    tools: () => tools(connection),
    packs: () =>
      rows(
        connection
          .from("credit_packs")
          .select("pack, credits, recurring, words")
          .eq("enabled", true)
          .order("position"),
      ),
    async buy(pack, { returnUrl } = {}) {
      const { user } = await connection.session();
      const url = options.buyUrl
        ? namedBuyer(options.buyUrl, user.id)
        : (await connection.call("purchase-checkout", { pack, returnUrl })).url;
      page.isShopping = true;
      globalThis.location?.assign(url);
      return url;
    },
    ledger: (query) => ledger(connection, query),
  };
}

/** The app's own shop, which is told who buys as a payment link is. */
function namedBuyer(/** @type {string} */ address, /** @type {string} */ user) {
  const url = new URL(address);
  url.searchParams.set("client_reference_id", user);
  return url.href;
}

/** What is on sale. @param {Connection} connection @returns {Promise<Tool[]>} */
async function tools(connection) {
  const [sold, rules] = await Promise.all([
    rows(
      connection
        .from("tools")
        .select("tool, credit_cost, priced_per")
        .eq("enabled", true)
        .order("tool"),
    ),
    rows(
      connection
        .from("tool_prices")
        .select("tool, matches, credits, priced_per, credits_min")
        .order("position"),
    ),
  ]);
  return sold.map(({ tool, credit_cost: credits, priced_per: pricedPer }) => ({
    tool,
    credits,
    pricedPer,
    rules: rules
      .filter((rule) => rule.tool === tool)
      .map((rule) => ({
        matches: rule.matches,
        credits: rule.credits,
        pricedPer: rule.priced_per,
        creditsMin: rule.credits_min,
      })),
  }));
}

/**
 * A page of the user's entries, newest first.
 * @param {Connection} connection @param {LedgerQuery} [query] @returns {Promise<LedgerPage>}
 */
async function ledger(connection, { cursor = null, limit = 20 } = {}) {
  const { user } = await connection.session();
  let query = connection
    .from("credit_entries")
    .select("id, created_at, kind, amount, balance_after, reason, job_id")
    .eq("user_id", user.id);
  if (cursor !== null) query = query.lt("id", cursor);
  // One more than fits tells whether there is a next page.
  const found = await rows(query.order("id", { ascending: false }).limit(limit + 1));
  const page = found.slice(0, limit);
  const ids = [...new Set(page.flatMap(({ job_id: id }) => id ?? []))];
  const jobs = ids.length
    ? await rows(connection.from("jobs").select("id, tool").in("id", ids))
    : [];
  const toolOf = new Map(jobs.map(({ id, tool }) => [id, tool]));
  const entries = page.map((row) => ({
    id: row.id,
    at: row.created_at,
    kind: row.kind,
    amount: row.amount,
    balanceAfter: row.balance_after,
    reason: row.reason,
    jobId: row.job_id,
    tool: toolOf.get(row.job_id) ?? null,
  }));
  return { entries, next: found.length > limit ? (page.at(-1)?.id ?? null) : null };
}

/**
 * The rows of a query.
 * @param {PromiseLike<{ data: any[] | null, error: { message: string } | null }>} query
 * @returns {Promise<any[]>}
 */
async function rows(query) {
  const { data, error } = await query;
  if (error) throw new JobError("network", error.message);
  return data ?? [];
}

/**
 * Whether the balance pays for the order, or may: the price of what is not measured yet can be the
 * lowest.
 * @param {Price} price
 */
export function mayBePaid({ enough, unmeasured, balance, lowest }) {
  return enough === true || (unmeasured !== null && balance !== null && balance >= lowest);
}

/** @param {any} value */
const isVideo = (value) => value instanceof Blob && value.type.startsWith("video/");

/** The length of a video, where this is a browser that can read it. @param {Blob} [video] */
async function secondsOf(video) {
  if (!video?.size || !globalThis.document) return null;
  const element = document.createElement("video");
  const address = URL.createObjectURL(video);
  await new Promise((resolve) => {
    element.onloadedmetadata = element.onerror = resolve;
    setTimeout(resolve, METADATA_MS);
    element.preload = "metadata";
    element.src = address;
  });
  URL.revokeObjectURL(address);
  return Number.isFinite(element.duration) && element.duration > 0 ? element.duration : null;
}

/** Whether there is something to upload. @param {any} value @returns {boolean} */
function hasFiles(value) {
  if (value instanceof Blob) return true;
  return value !== null && typeof value === "object" && Object.values(value).some(hasFiles);
}

/** An input without its files, with as many parts as before. @param {any} value @returns {any} */
function withoutFiles(value) {
  if (Array.isArray(value)) return value.map(withoutFiles);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([, part]) => !(part instanceof Blob));
  return Object.fromEntries(fields.map(([name, part]) => [name, withoutFiles(part)]));
}

/**
 * Why a job failed or was cancelled, by what its function answered.
 * @param {Record<string, any>} answer @param {State} state
 */
function endedBecause(answer, state) {
  const message = answer.errorMessage ?? answer.error_message ?? "";
  const [, code, text] = message.match(/^([A-Z_]+): ?(.*)$/s) ?? [null, null, message];
  return new JobError(answer.errorCode ?? code ?? state.toUpperCase(), text || state, 200, answer);
}

/**
 * Whether two inputs are the same; files are compared by identity.
 * @param {any} a @param {any} b @returns {boolean}
 */
function isSame(a, b) {
  const isPlain = /** @param {any} value */ (value) =>
    value !== null && typeof value === "object" && !(value instanceof Blob);
  if (!isPlain(a) || !isPlain(b)) return Object.is(a, b);
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => isSame(a[name], b[name]));
}

/** Which share of all bytes has arrived, 0 to 1. @param {Map<Blob, number>} arrived */
function share(arrived) {
  let [bytes, total] = [0, 0];
  for (const [file, part] of arrived) [bytes, total] = [bytes + part, total + file.size];
  return bytes / (total || 1);
}

/**
 * Sends a file by XMLHttpRequest: `fetch` cannot tell how much of it has been sent.
 * @param {string} url @param {Blob} file @param {(bytes: number) => void} onProgress
 * @param {AbortSignal} signal @param {string} apikey
 */
function put(url, file, onProgress, signal, apikey) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const failed = () => {
      const message = xhr.responseText || "The upload did not arrive";
      reject(new JobError("upload_failed", message, xhr.status));
    };
    xhr.open("PUT", url);
    xhr.setRequestHeader("apikey", apikey);
    xhr.setRequestHeader("content-type", file.type || "application/octet-stream");
    xhr.upload.onprogress = ({ loaded }) => onProgress(Math.min(loaded, file.size));
    xhr.onload = () => (xhr.status < 300 ? resolve(undefined) : failed());
    xhr.onerror = failed;
    xhr.onabort = failed;
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(file);
  });
}

/** @param {Blob & { name?: string }} file */
function extension(file) {
  const named = file.name?.match(/\.[a-z0-9]{1,5}$/i)?.[0];
  const text = named ?? `.${file.type.split("/")[1] ?? "bin"}`;
  return text.toLowerCase().replace(/[^.a-z0-9]/g, "");
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
