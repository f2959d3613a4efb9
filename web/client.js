// Runs jobs from a page: uploads the files, orders the job, follows it to its end, and cancels what
// waits when the page is left. Copy this one file into any app; it needs nothing but that app's
// supabase-js client.
//
//   const jobs = createJobs(supabase);
//   const job = jobs.run("runninghub-upscaler", { file, resolution: 2048 });
//   job.subscribe(({ state, progress, position, etaSeconds }) => …);
//   const { outputUrl } = await job.result;
//
// It never charges, counts or decides anything: the functions do.

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
 * @typedef {object} Options
 * @property {string} [functionsUrl]  Address of the functions, where the client's own address is
 *   not the gateway's: "https://<your gateway>/functions/v1".
 * @property {string} [bucket]  The bucket that inputs are uploaded to.
 * @property {number} [pollMs]  Shortest time between two queries of a job, in milliseconds.
 * @property {number} [pollMaxMs]  Longest.
 */

/**
 * @typedef {object} Jobs
 * @property {string} sessionId  Names this page; the functions cancel what waits by it.
 * @property {(tool: string, input: Record<string, any>) => Job} run  Orders a job. Uploads every
 *   Blob in `input` first; `file` stands for a tool's only file.
 * @property {() => Promise<Job[]>} resume  The user's live jobs, newest first: what a page shows
 *   after a reload.
 * @property {() => void} leave  Cancels what this page uploads or waits for. A page that is left
 *   calls it by itself.
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
    /** Whether a gateway has answered at the functions' address. */
    this.found = false;
  }

  /** Refuses an address where something else answers than a gateway. */
  async findGateway() {
    if (this.found) return;
    // One that does not answer now may answer the call.
    const response = await fetch(`${this.base}/health`).catch(() => null);
    if (!response) return;
    const answer = await response.json().catch(() => null);
    this.found = typeof answer?.ok === "boolean" || typeof answer?.request_id === "string";
    if (this.found || response.status >= 500) return;
    const example = "https://<your gateway>/functions/v1";
    const advice = `set functionsUrl to your gateway's address: "${example}"`;
    throw new JobError("misconfigured", `No gateway answers at ${this.base}; ${advice}`);
  }

  async session() {
    await this.findGateway();
    const { data } = await this.supabase.auth.getSession();
    this.token = data.session?.access_token;
    if (!data.session) throw new JobError("unauthorized", "Sign in first", 401);
    return data.session;
  }

  /** @param {string} table */
  from(table) {
    return this.supabase.schema("unstuck").from(table);
  }

  /** @param {string} tool */
  async family(tool) {
    if (!this.families) {
      await this.session();
      const { data, error } = await this.from("tools").select("tool, table_name");
      if (error) throw new JobError("network", error.message);
      this.families = new Map(data.map((row) => [row.tool, row.table_name]));
    }
    return this.families.get(tool);
  }

  /** @param {string} path @param {object} [body] @param {RequestInit} [init] */
  request(path, body, init) {
    return fetch(`${this.base}/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        authorization: `Bearer ${this.token}`,
        apikey: this.project.supabaseKey,
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
      ...init,
    });
  }

  /**
   * The body of a good answer; throws a JobError for every other one.
   * @param {string} path @param {object} [body]
   */
  async call(path, body) {
    await this.session();
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

  async endpoints() {
    return endpoints(this.tool, await this.connection.family(this.tool));
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
   * @param {Record<string, any>} given @param {Record<string, any>} [uploaded]
   */
  async start(given, uploaded) {
    try {
      this.given = given;
      this.set({ input: given });
      const { order, idField, sessionField, fileField } = await this.page.retried(() =>
        this.endpoints(),
      );
      const { file, ...rest } = given;
      const input = uploaded ?? (await this.uploaded(file ? { ...rest, [fileField]: file } : rest));
      this.set({ input, progress: 1 });
      this.abort.signal.throwIfAborted();
      this.ordered = true;
      const body = { ...input, [idField]: this.id, [sessionField]: this.page.sessionId };
      // The same id makes a retry harmless, so that a lost answer costs nothing.
      const ordered = this.page.retried(() => this.connection.call(order, body));
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
        const { status } = await this.endpoints();
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
  globalThis.addEventListener?.("pagehide", leave);
  globalThis.document?.addEventListener("visibilitychange", () => {
    for (const job of page.live) job.wake();
  });

  return {
    sessionId: page.sessionId,
    leave,
    run(tool, input) {
      const lost = [...page.lost].find((job) => job.tool === tool && isSame(job.given, input));
      if (lost) page.lost.delete(lost);
      const job = new Follower(page, lost?.id ?? crypto.randomUUID(), tool, {});
      job.own = true;
      job.start(input, lost?.update.input);
      return job.handle();
    },
    async resume() {
      const { user } = await connection.session();
      const { data, error } = await connection
        .from("jobs")
        .select("id, tool, status, input, credits_charged, total_steps")
        .eq("user_id", user.id)
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      if (error) throw new JobError("network", error.message);
      return data.map((row) => {
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
  };
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
