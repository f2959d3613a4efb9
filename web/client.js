// Runs jobs from a page: uploads first, orders after, follows the job to its end, and gives up what waits when the page
// is left. Copy this one file into any app; it needs nothing but that app's supabase-js client.
//
//   const jobs = createJobs(supabase);
//   const job = jobs.run("runninghub-upscaler", { file, resolution: 2048 });
//   job.subscribe(({ state, progress, position, etaSeconds }) => …);
//   const { outputUrl } = await job.result;
//
// It never charges, counts or decides anything: the functions do.

/** @typedef {"uploading" | "waiting" | "running" | "done" | "failed" | "cancelled"} State */

/**
 * What is known of a job.
 * @typedef {object} Update
 * @property {string} id
 * @property {string} tool
 * @property {State} state
 * @property {number} progress  Share of the upload that has arrived, 0 to 1.
 * @property {number | null} position  Place in the queue while it waits.
 * @property {number | null} etaSeconds  Estimated wait.
 * @property {number | null} step  Step at work, of jobs with several.
 * @property {number | null} totalSteps
 * @property {string | null} outputUrl  The result, where it is one file.
 * @property {Record<string, any>} input  The order; once uploaded, with addresses in place of files.
 * @property {Record<string, any>} answer  The last answer of the function, for what only one tool has (cards, files).
 * @property {number | null} creditsCharged
 * @property {number} creditsRefunded
 * @property {JobError | null} error  Why it failed or was cancelled.
 */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} tool
 * @property {Update} update  The newest.
 * @property {Promise<Update>} result  Resolves when done, rejects with a JobError when failed or cancelled.
 * @property {(listener: (update: Update) => void) => () => void} subscribe  Calls at once and at every change; returns how to stop.
 * @property {() => Promise<void>} cancel  Gives up a job that uploads or waits (one that runs only where its tool allows it).
 */

/**
 * @typedef {object} Options
 * @property {string} [functionsUrl]  Where the functions answer, if not at the project's own address.
 * @property {string} [bucket]  Where inputs are uploaded.
 * @property {number} [pollMs]  Shortest time between two looks at a job.
 * @property {number} [pollMaxMs]  Longest.
 */

/**
 * @typedef {object} Jobs
 * @property {string} sessionId  Names this page: what waits is cancelled by it.
 * @property {(tool: string, input: Record<string, any>) => Job} run  Orders a job. Every Blob in `input` is uploaded first; `file` stands for a tool's only file.
 * @property {() => Promise<Job[]>} resume  The user's live jobs, newest first: what a page shows after a reload.
 * @property {() => void} leave  Gives up what this page uploads or waits for. Happens by itself when the page is left.
 */

/** Tools that do not answer at `<tool>/run` and `<tool>/queue-status`. @type {Record<string, { id: string, session?: string, order: string, look: string }>} */
const SYNTAX = {
  "create-generation-job-banana": {
    id: "jobId",
    order: "create-generation-job-banana",
    look: "create-generation-job-banana?jobId=",
  },
  "replicate-async-start": {
    id: "job_id",
    session: "session_id",
    order: "replicate-async-start",
    look: "replicate-async-status?task_id=",
  },
  "generate-website": { id: "jobId", order: "generate-website", look: "generate-website?id=" },
  "generate-react-website": {
    id: "jobId",
    order: "generate-react-website",
    look: "generate-react-website?id=",
  },
  "generate-php-website": {
    id: "jobId",
    order: "generate-php-website",
    look: "generate-php-website?id=",
  },
};

/** The field that `file` stands for, where it is not `imageUrl`. */
const FILE_FIELD = { "runninghub-video-upscaler": "videoUrl" };

/** The functions' words. */
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
const FINAL = ["done", "failed", "cancelled"];

/** What went wrong, with the `code` of the API (or of the failed job) and every field of its answer. */
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

/**
 * @param {import("@supabase/supabase-js").SupabaseClient<any, any, any>} supabase
 * @param {Options} [options]
 * @returns {Jobs}
 */
export function createJobs(supabase, options = {}) {
  const project = /** @type {any} */ (supabase);
  const base = (options.functionsUrl ?? `${project.supabaseUrl}/functions/v1`).replace(/\/$/, "");
  const bucket = supabase.storage.from(options.bucket ?? "uploads");
  const [pollMs, pollMaxMs] = [options.pollMs ?? 700, options.pollMaxMs ?? 3000];
  const sessionId = crypto.randomUUID();
  /** Jobs that are not over. @type {Set<Follower>} */
  const live = new Set();
  /** @type {string | undefined} */
  let token;

  async function session() {
    const { data } = await supabase.auth.getSession();
    token = data.session?.access_token;
    if (!data.session) throw new JobError("unauthorized", "Sign in first", 401);
    return data.session;
  }

  /** @param {string} path @param {object} [body] @param {RequestInit} [init] */
  function request(path, body, init) {
    return fetch(`${base}/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        authorization: `Bearer ${token}`,
        apikey: project.supabaseKey,
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
      ...init,
    });
  }

  /** The body of a good answer; everything else is a JobError. @param {string} path @param {object} [body] */
  async function call(path, body) {
    await session();
    let response;
    try {
      response = await request(path, body);
    } catch (error) {
      throw new JobError("network", error instanceof Error ? error.message : String(error));
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const details = { ...answer, retryAfter: Number(response.headers.get("retry-after")) || null };
    throw new JobError(
      answer.code ?? "internal",
      answer.message ?? response.statusText,
      response.status,
      details,
    );
  }

  /** @param {Blob} file @param {string} path @param {(bytes: number) => void} onProgress @param {AbortSignal} signal */
  async function upload(file, path, onProgress, signal) {
    const { data, error } = await bucket.createSignedUploadUrl(path);
    if (error) throw new JobError("upload_failed", error.message);
    signal.throwIfAborted();
    if (typeof XMLHttpRequest === "undefined") {
      const sent = await bucket.uploadToSignedUrl(path, data.token, file, {
        contentType: file.type,
      });
      if (sent.error) throw new JobError("upload_failed", sent.error.message);
    } else {
      await put(data.signedUrl, file, onProgress, signal, project.supabaseKey);
    }
    onProgress(file.size);
    return bucket.getPublicUrl(path).data.publicUrl;
  }

  /** One job, from whatever is known of it to its end. */
  class Follower {
    /** @param {string} id @param {string} tool @param {Partial<Update>} known */
    constructor(id, tool, known) {
      this.id = id;
      this.tool = tool;
      this.syntax = SYNTAX[tool] ?? {
        id: "jobId",
        order: `${tool}/run`,
        look: `${tool}/queue-status?jobId=`,
      };
      /** @type {Set<(update: Update) => void>} */
      this.listeners = new Set();
      this.abort = new AbortController();
      /** A job found again may wait for another page: this one does not give it up. */
      this.own = false;
      this.ordered = false;
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
      // Whoever only subscribes must not be told of an unhandled rejection.
      this.result.catch(() => {});
    }

    /** @param {Partial<Update>} change */
    set(change) {
      if (FINAL.includes(this.update.state)) return;
      this.update = { ...this.update, ...change };
      const { state } = this.update;
      if (FINAL.includes(state)) live.delete(this);
      for (const listener of this.listeners) listener(this.update);
      const { resolve, reject } = /** @type {any} */ (this);
      if (state === "done") resolve(this.update);
      else if (FINAL.includes(state)) reject(this.update.error);
    }

    /** @param {Record<string, any>} answer */
    apply(answer) {
      const state = /** @type {State | undefined} */ (
        STATES[/** @type {keyof typeof STATES} */ (answer.status)]
      );
      const message = answer.errorMessage ?? answer.error_message ?? "";
      const [, code, text] = message.match(/^([A-Z_]+): ?(.*)$/s) ?? [null, null, message];
      const ended = state === "failed" || state === "cancelled";
      this.set({
        state: state ?? this.update.state,
        position: answer.position ?? null,
        etaSeconds: answer.etaSeconds ?? answer.estimated_time_seconds ?? null,
        step: answer.current_step ?? answer.completedCards ?? null,
        totalSteps: answer.total_steps ?? answer.totalCards ?? null,
        outputUrl: answer.outputUrl ?? answer.result_url ?? null,
        creditsCharged:
          answer.creditsCharged ?? answer.credits_charged ?? this.update.creditsCharged,
        creditsRefunded:
          answer.creditsRefunded ??
          answer.refundedCredits ??
          answer.credits_refunded ??
          this.update.creditsRefunded,
        error: ended
          ? new JobError(
              answer.errorCode ?? code ?? state.toUpperCase(),
              text || state,
              200,
              answer,
            )
          : null,
        answer,
      });
    }

    /** @param {unknown} error */
    fail(error) {
      const known = error instanceof JobError ? error : new JobError("internal", String(error));
      const { refundedCredits = 0 } = known.details;
      this.set({
        state: this.abort.signal.aborted ? "cancelled" : "failed",
        error: known,
        creditsRefunded: refundedCredits,
      });
    }

    /** @param {Record<string, any>} given */
    async start(given) {
      try {
        const { file, ...rest } = given;
        const field = FILE_FIELD[/** @type {keyof typeof FILE_FIELD} */ (this.tool)] ?? "imageUrl";
        this.set({ input: file ? { ...rest, [field]: file } : rest });
        const input = await this.uploaded(this.update.input);
        this.set({ input, progress: 1 });
        this.abort.signal.throwIfAborted();
        this.ordered = true;
        this.apply(
          await this.order({
            ...input,
            [this.syntax.id]: this.id,
            [this.syntax.session ?? "sessionId"]: sessionId,
          }),
        );
        await this.follow();
      } catch (error) {
        this.fail(this.abort.signal.aborted ? new JobError("CANCELLED", "Cancelled") : error);
      }
    }

    /** The input with every file uploaded, under a path that holds the job's id. @param {Record<string, any>} input */
    async uploaded(input) {
      const { user } = await session();
      /** @type {Map<Blob, number>} */
      const sent = new Map();
      const total = () => [...sent.keys()].reduce((sum, file) => sum + file.size, 0) || 1;
      const visit = /** @param {any} value @returns {Promise<any>} */ async (value) => {
        if (value instanceof Blob) {
          sent.set(value, 0);
          const path = `${user.id}/${this.id}/${crypto.randomUUID()}${extension(value)}`;
          return upload(
            value,
            path,
            (bytes) => {
              sent.set(value, bytes);
              this.set({
                progress: [...sent.values()].reduce((sum, part) => sum + part, 0) / total(),
              });
            },
            this.abort.signal,
          );
        }
        if (Array.isArray(value)) return Promise.all(value.map(visit));
        if (value === null || typeof value !== "object") return value;
        return Object.fromEntries(
          await Promise.all(
            Object.entries(value).map(async ([name, part]) => [name, await visit(part)]),
          ),
        );
      };
      return visit(input);
    }

    /** The same id makes a repeat harmless, so that a lost answer costs nothing. @param {object} body */
    async order(body) {
      for (let tries = 1; ; tries++) {
        try {
          return await call(this.syntax.order, body);
        } catch (error) {
          const { code } = /** @type {JobError} */ (error);
          if (
            tries === ORDER_TRIES ||
            !["network", "upstream_unavailable", "internal"].includes(code)
          )
            throw error;
          await pause(pollMs * 2 ** tries);
        }
      }
    }

    /** Looks until it is over: soon after a change, then less and less often. */
    async follow() {
      let wait = pollMs;
      while (!FINAL.includes(this.update.state)) {
        await new Promise((resolve) => {
          this.wake = () => resolve(undefined);
          setTimeout(this.wake, wait);
        });
        const { state, position, step } = this.update;
        try {
          this.apply(await call(this.syntax.look + this.id));
        } catch (error) {
          const { status, details } = /** @type {JobError} */ (error);
          // What may pass is asked again; a job that is not there is not.
          if ([400, 403, 404].includes(status)) return this.fail(error);
          if (details?.retryAfter) {
            wait = details.retryAfter * 1000;
            continue;
          }
        }
        const now = this.update;
        const moved = now.state !== state || now.position !== position || now.step !== step;
        wait = moved ? pollMs : Math.min(wait * 1.5, pollMaxMs);
      }
    }

    async cancel() {
      if (this.update.state === "uploading") {
        this.abort.abort();
        // Named, so that an order already on its way is refused when it arrives; it alone, whatever else waits here.
        const { cancelledCount } = await call(`${QUEUE}/cancel-session`, {
          sessionId: this.id,
          jobIds: [this.id],
        });
        if (cancelledCount || !this.ordered)
          this.set({ state: "cancelled", error: new JobError("CANCELLED", "Cancelled") });
        return;
      }
      const { data } = await supabase
        .schema("unstuck")
        .from("tools")
        .select("table_name")
        .eq("tool", this.tool)
        .single();
      const { refundedCredits } = await call(`${QUEUE}/cancel`, {
        table: data?.table_name,
        jobId: this.id,
      });
      this.set({
        state: "cancelled",
        creditsRefunded: refundedCredits,
        error: new JobError("CANCELLED", "Cancelled"),
      });
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

  function leave() {
    const jobIds = [...live]
      .filter((job) => job.own && ["uploading", "waiting"].includes(job.update.state))
      .map((job) => job.id);
    if (jobIds.length === 0 || !token) return;
    // The browser finishes it after the page is gone.
    request(`${QUEUE}/cancel-session`, { sessionId, jobIds }, { keepalive: true }).catch(() => {});
  }
  globalThis.addEventListener?.("pagehide", leave);
  globalThis.document?.addEventListener("visibilitychange", () => {
    for (const job of live) job.wake();
  });

  return {
    sessionId,
    leave,
    run(tool, input) {
      const job = new Follower(crypto.randomUUID(), tool, {});
      job.own = true;
      live.add(job);
      job.start(input);
      return job.handle();
    },
    async resume() {
      const { user } = await session();
      const query = supabase
        .schema("unstuck")
        .from("jobs")
        .select("id, tool, status, input, credits_charged, total_steps")
        .eq("user_id", user.id);
      const { data, error } = await query
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      if (error) throw new JobError("network", error.message);
      return data.map((row) => {
        const state = /** @type {State} */ (
          STATES[/** @type {keyof typeof STATES} */ (row.status)]
        );
        const { input, credits_charged: creditsCharged, total_steps: totalSteps } = row;
        const job = new Follower(row.id, row.tool, {
          state,
          input,
          creditsCharged,
          totalSteps,
          progress: 1,
        });
        live.add(job);
        job.follow();
        return job.handle();
      });
    },
  };
}

/** `fetch` cannot tell how much has left. @param {string} url @param {Blob} file @param {(bytes: number) => void} onProgress @param {AbortSignal} signal @param {string} apikey */
function put(url, file, onProgress, signal, apikey) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    const failed = () =>
      reject(
        new JobError("upload_failed", xhr.responseText || "The upload did not arrive", xhr.status),
      );
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
  const named =
    file.name?.match(/\.[a-z0-9]{1,5}$/i)?.[0] ?? `.${file.type.split("/")[1] ?? "bin"}`;
  return named.toLowerCase().replace(/[^.a-z0-9]/g, "");
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
