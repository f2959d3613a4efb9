/** @param {string} tool @param {string} [family] @returns {Endpoints} */
export function endpoints(tool: string, family?: string): Endpoints;
/**
 * @param {SupabaseClient} supabase
 * @param {Options} [options]
 * @returns {Jobs}
 */
export function createJobs(supabase: SupabaseClient, options?: Options): Jobs;
/** What went wrong: the `code` of the API (or of the failed job) and every field of its answer. */
export class JobError extends Error {
    /**
     * @param {string} code
     * @param {string} message
     * @param {number} [status]  Of the answer; 0 where there was none.
     * @param {Record<string, any>} [details]
     */
    constructor(code: string, message: string, status?: number, details?: Record<string, any>);
    code: string;
    status: number;
    details: Record<string, any>;
}
export type SupabaseClient = import("@supabase/supabase-js").SupabaseClient<any, any, any>;
export type State = "uploading" | "waiting" | "running" | "done" | "failed" | "cancelled";
/**
 * What is known of a job.
 */
export type Update = {
    id: string;
    tool: string;
    state: State;
    /**
     * Share of the upload that has arrived, 0 to 1.
     */
    progress: number;
    /**
     * Position in the queue while it waits.
     */
    position: number | null;
    /**
     * Estimated wait.
     */
    etaSeconds: number | null;
    /**
     * Number of the running step, of a job with several.
     */
    step: number | null;
    totalSteps: number | null;
    /**
     * The result, where it is one file.
     */
    outputUrl: string | null;
    /**
     * The order; after the upload with URLs in place of files.
     */
    input: Record<string, any>;
    /**
     * The function's last answer, with what only one tool has.
     */
    answer: Record<string, any>;
    creditsCharged: number | null;
    creditsRefunded: number;
    /**
     * Why it failed or was cancelled.
     */
    error: JobError | null;
};
export type Job = {
    id: string;
    tool: string;
    /**
     * The newest.
     */
    update: Update;
    /**
     * Resolves when the job is done, rejects with a JobError when
     * it failed or was cancelled.
     */
    result: Promise<Update>;
    /**
     * Calls the listener at
     * once and at every change; returns the function that stops this.
     */
    subscribe: (listener: (update: Update) => void) => () => void;
    /**
     * Cancels a job that uploads or waits; one that runs only
     * where its tool allows it.
     */
    cancel: () => Promise<void>;
};
export type Options = {
    /**
     * Address of the functions, where the client's own address is
     * not the gateway's: "https://<your gateway>/functions/v1".
     */
    functionsUrl?: string | undefined;
    /**
     * The bucket that inputs are uploaded to.
     */
    bucket?: string | undefined;
    /**
     * Shortest time between two queries of a job, in milliseconds.
     */
    pollMs?: number | undefined;
    /**
     * Longest.
     */
    pollMaxMs?: number | undefined;
};
export type Jobs = {
    /**
     * Names this page; the functions cancel what waits by it.
     */
    sessionId: string;
    /**
     * Orders a job. Uploads every
     * Blob in `input` first; `file` stands for a tool's only file.
     */
    run: (tool: string, input: Record<string, any>) => Job;
    /**
     * The user's live jobs, newest first: what a page shows
     * after a reload.
     */
    resume: () => Promise<Job[]>;
    /**
     * Cancels what this page uploads or waits for. A page that is left
     * calls it by itself.
     */
    leave: () => void;
};
/**
 * How the functions of one tool are called.
 */
export type Endpoints = {
    /**
     * The path that takes the order.
     */
    order: string;
    /**
     * The path that tells the state of a job, up to the job's id.
     */
    status: string;
    /**
     * The field of the order that holds the job's id.
     */
    idField: string;
    /**
     * The field of the order that names the page.
     */
    sessionField: string;
    /**
     * The field of the order that `file` stands for.
     */
    fileField: string;
};
