/** @param {string} tool @param {string} [family] @returns {Endpoints} */
export function endpoints(tool: string, family?: string): Endpoints;
/**
 * @param {SupabaseClient} supabase
 * @param {Options} [options]
 * @returns {Jobs}
 */
export function createJobs(supabase: SupabaseClient, options?: Options): Jobs;
/**
 * Whether the balance pays for the order, or may: the price of what is not measured yet can be the
 * lowest.
 * @param {Price} price
 */
export function mayBePaid({ enough, unmeasured, balance, lowest }: Price): boolean;
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
export type Limits = {
    /**
     * An order that costs more is refused: `price_changed`.
     */
    maxCredits?: number | null | undefined;
};
/**
 * What an order would cost now.
 */
export type Price = {
    credits: number;
    /**
     * What the user may spend; null where nobody is signed in.
     */
    balance: number | null;
    /**
     * Whether that pays for it; null where nobody is signed in.
     */
    enough: boolean | null;
    /**
     * Estimated wait until the job starts.
     */
    etaSeconds: number | null;
    /**
     * The unit (`second` or `megapixel`) of a price that depends
     * on files which nobody can measure yet: it will not be more than `credits`.
     */
    unmeasured: string | null;
    /**
     * Nor will it be less; `credits`, where the price is known.
     */
    lowest: number;
};
/**
 * One rule of a tool's price: it holds for the inputs that meet every condition of `matches`.
 */
export type PriceRule = {
    matches: Record<string, any>;
    credits: number;
    pricedPer: "job" | "step" | "second" | "megapixel";
    /**
     * The least that such an order costs, by second or megapixel.
     */
    creditsMin: number | null;
};
/**
 * A tool that is on sale. The first rule that holds gives the price, else `credits` do.
 */
export type Tool = {
    tool: string;
    credits: number;
    pricedPer: "job" | "step";
    rules: PriceRule[];
};
/**
 * Credits that are sold together.
 */
export type Pack = {
    pack: string;
    credits: number;
    /**
     * Whether it is a subscription.
     */
    recurring: boolean;
    /**
     * By language.
     */
    words: Record<string, {
        name?: string;
        price?: string;
    }>;
};
/**
 * How credits are given.
 */
export type GiftKind = "grant" | "purchase" | "bonus" | "goodwill";
/**
 * What changed the balance.
 */
export type Entry = {
    id: number;
    at: string;
    kind: GiftKind | "debit" | "refund" | "adjustment" | "chargeback";
    amount: number;
    balanceAfter: number;
    reason: string | null;
    jobId: string | null;
    /**
     * Of the job.
     */
    tool: string | null;
};
export type LedgerQuery = {
    /**
     * The `next` of the page before.
     */
    cursor?: number | null | undefined;
    limit?: number | undefined;
};
export type LedgerPage = {
    entries: Entry[];
    /**
     * The cursor of the next page, if there is one.
     */
    next: number | null;
};
export type Options = {
    /**
     * Address of the functions, where the client's own address is
     * not the gateway's: "https://<your gateway>/functions/v1".
     */
    functionsUrl?: string | undefined;
    /**
     * The app's own page that sells credits, if it has one. It gets
     * the user's id as `client_reference_id`, as a payment link does.
     */
    buyUrl?: string | null | undefined;
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
     * Orders a job.
     * Uploads every Blob in `input` first, unless the order cannot be paid; `file` stands for a
     * tool's only file.
     */
    run: (tool: string, input: Record<string, any>, limits?: Limits) => Job;
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
    /**
     * What the order
     * would cost; nobody needs to be signed in, and files may be missing. A browser tells the
     * length of a video that is not uploaded yet; the order is charged by what arrives.
     */
    price: (tool: string, input: Record<string, any>) => Promise<Price>;
    /**
     * What the user has, and owes
     * from payments that were returned.
     */
    balance: () => Promise<{
        balance: number;
        debt: number;
    }>;
    /**
     * What is on sale; nobody needs to be signed in.
     */
    tools: () => Promise<Tool[]>;
    /**
     * The credits on sale; nobody needs to be signed in.
     */
    packs: () => Promise<Pack[]>;
    /**
     * Goes to the
     * page where the pack is paid, and resolves to its address. What waits goes on waiting. The
     * checkout comes back with `?purchase=paid` or `cancelled`.
     */
    buy: (pack: string, options?: {
        returnUrl?: string;
    }) => Promise<string>;
    /**
     * The user's entries, newest first.
     */
    ledger: (page?: LedgerQuery) => Promise<LedgerPage>;
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
