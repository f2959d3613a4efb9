/**
 * @param {import("@supabase/supabase-js").SupabaseClient<any, any, any>} supabase
 * @param {Options} [options]
 * @returns {Jobs}
 */
export function createJobs(supabase: import("@supabase/supabase-js").SupabaseClient<any, any, any>, options?: Options): Jobs;
/** What went wrong, with the `code` of the API (or of the failed job) and every field of its answer. */
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
     * Place in the queue while it waits.
     */
    position: number | null;
    /**
     * Estimated wait.
     */
    etaSeconds: number | null;
    /**
     * Step at work, of jobs with several.
     */
    step: number | null;
    totalSteps: number | null;
    /**
     * The result, where it is one file.
     */
    outputUrl: string | null;
    /**
     * The order; once uploaded, with addresses in place of files.
     */
    input: Record<string, any>;
    /**
     * The last answer of the function, for what only one tool has (cards, files).
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
     * Resolves when done, rejects with a JobError when failed or cancelled.
     */
    result: Promise<Update>;
    /**
     * Calls at once and at every change; returns how to stop.
     */
    subscribe: (listener: (update: Update) => void) => () => void;
    /**
     * Gives up a job that uploads or waits (one that runs only where its tool allows it).
     */
    cancel: () => Promise<void>;
};
export type Options = {
    /**
     * Where the functions answer, if not at the project's own address.
     */
    functionsUrl?: string | undefined;
    /**
     * Where inputs are uploaded.
     */
    bucket?: string | undefined;
    /**
     * Shortest time between two looks at a job.
     */
    pollMs?: number | undefined;
    /**
     * Longest.
     */
    pollMaxMs?: number | undefined;
};
export type Jobs = {
    /**
     * Names this page: what waits is cancelled by it.
     */
    sessionId: string;
    /**
     * Orders a job. Every Blob in `input` is uploaded first; `file` stands for a tool's only file.
     */
    run: (tool: string, input: Record<string, any>) => Job;
    /**
     * The user's live jobs, newest first: what a page shows after a reload.
     */
    resume: () => Promise<Job[]>;
    /**
     * Gives up what this page uploads or waits for. Happens by itself when the page is left.
     */
    leave: () => void;
};
