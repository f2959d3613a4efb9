// What an app sees of the client.

import type { SupabaseClient as AnyClient } from "@supabase/supabase-js";
import type { InputUrl, ToolAnswers, ToolInputs, ToolName } from "./contract.js";
import type { JobError, JobErrorName } from "./errors.js";

/** The app's own client, whatever its database looks like. */
export type SupabaseClient = AnyClient<any, any, any>;

export type State = "uploading" | "waiting" | "running" | "done" | "failed" | "cancelled";

/** The names of an input's fields that hold one file. */
type FileField<I> = { [K in keyof I]-?: InputUrl extends I[K] ? K : never }[keyof I];

/** The one of these names; never where there are several. */
type Only<K, All = K> = K extends unknown ? ([All] extends [K] ? K : never) : never;

/** An input whose only file is called `file`. */
type WithFile<I, K extends keyof I> = [K] extends [never]
  ? never
  : Omit<I, K> & { file: InputUrl } & { [name in K]?: never };

/** What is ordered of a tool. */
export type JobInput<T extends ToolName> =
  ToolInputs[T] | WithFile<ToolInputs[T], Only<FileField<ToolInputs[T]>>>;

/** One piece of the result. */
export interface Output {
  /** Which piece of what was ordered, from 0. */
  index: number;
  /** Opens in a browser; null where this piece failed. */
  url: string | null;
  /** `files`: a website, which `download` brings as an archive. */
  kind: "image" | "video" | "files";
  error: { code: JobErrorName; message: string } | null;
}

/** What is known of a job. */
export interface Update<T extends ToolName = ToolName> {
  id: string;
  tool: T;
  state: State;
  /** Share of the upload that has arrived, 0 to 1. */
  progress: number;
  /** Position in the queue while it waits. */
  position: number | null;
  /** Estimated wait. */
  etaSeconds: number | null;
  /** Number of the running step, of a job with several. */
  step: number | null;
  totalSteps: number | null;
  /** The result, where it is one file. */
  outputUrl: string | null;
  /** Every piece of the result. */
  outputs: Output[];
  /** The order; after the upload with URLs in place of files. */
  input: Record<string, any>;
  /** The function's last answer, with what only one tool has. */
  answer: Partial<ToolAnswers[T]>;
  creditsCharged: number | null;
  creditsRefunded: number;
  /** By the server's clock, as is each time of these three. */
  createdAt: string | null;
  /** When the provider took it. */
  startedAt: string | null;
  /** When it ended, however it ended. */
  completedAt: string | null;
  /** How long the provider had worked on it when this update was made. */
  elapsedMs: number | null;
  /** Why it failed or was cancelled. */
  error: JobError | null;
}

export interface Job<T extends ToolName = ToolName> {
  readonly id: string;
  readonly tool: T;
  /** The newest. It is the same object until something changes. */
  readonly update: Update<T>;
  /** Resolves when the job is done, rejects with a JobError when it failed or was cancelled. */
  readonly result: Promise<Update<T>>;
  /** Calls the listener at once and at every change; returns the function that stops this. */
  subscribe(listener: (update: Update<T>) => void): () => void;
  /** Cancels a job that uploads or waits; one that runs only where its tool allows it. */
  cancel(): Promise<void>;
}

export interface Limits {
  /** An order that costs more is refused: `price_changed`. */
  maxCredits?: number | null | undefined;
}

/** What an order would cost now. */
export interface Price {
  credits: number;
  /** What the user may spend; null where nobody is signed in. */
  balance: number | null;
  /** Whether that pays for it; null where nobody is signed in. */
  enough: boolean | null;
  /** Estimated wait until the job starts. */
  etaSeconds: number | null;
  /**
   * The unit (`second` or `megapixel`) of a price that depends on files which nobody can measure
   * yet: `credits` is then the highest possible price.
   */
  unmeasured: string | null;
  /** The lowest possible price; equal to `credits` if nothing is unmeasured. */
  lowest: number;
}

/** One rule of a tool's price: it holds for the inputs that meet every condition of `matches`. */
export interface PriceRule {
  matches: Record<string, any>;
  credits: number;
  pricedPer: "job" | "step" | "second" | "megapixel";
  /** The least that such an order costs, by second or megapixel. */
  creditsMin: number | null;
}

/** A tool that is on sale. The first rule that holds gives the price, else `credits` do. */
export interface Tool {
  tool: ToolName;
  credits: number;
  pricedPer: "job" | "step";
  rules: PriceRule[];
}

/** Credits that are sold together. */
export interface Pack {
  pack: string;
  credits: number;
  /** Whether it is a subscription. */
  recurring: boolean;
  /** By language. */
  words: Record<string, { name?: string; price?: string }>;
}

export interface Balance {
  balance: number;
  /** What the user owes from payments that were returned. */
  debt: number;
}

/** How credits are given. */
export type GiftKind = "grant" | "purchase" | "bonus" | "goodwill";

/** What changed the balance. */
export interface Entry {
  id: number;
  at: string;
  kind: GiftKind | "debit" | "refund" | "adjustment" | "chargeback";
  amount: number;
  balanceAfter: number;
  reason: string | null;
  jobId: string | null;
  /** Of the job. */
  tool: ToolName | null;
}

export interface LedgerQuery {
  /** The `next` of the page before. */
  cursor?: number | null | undefined;
  limit?: number | undefined;
}

export interface LedgerPage {
  entries: Entry[];
  /** The cursor of the next page, if there is one. */
  next: number | null;
}

/** A job as the history has it. */
export interface JobSummary {
  id: string;
  tool: ToolName;
  status: "queued" | "running" | "completed" | "failed" | "cancelled";
  position: number | null;
  etaSeconds: number | null;
  creditsCharged: number;
  creditsRefunded: number;
  outputs: Output[];
  error: { code: JobErrorName; message: string } | null;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
}

export interface HistoryQuery {
  /** The `next` of the page before. */
  cursor?: string | null | undefined;
  limit?: number | undefined;
  status?: JobSummary["status"] | undefined;
  tool?: ToolName | undefined;
}

export interface HistoryPage {
  jobs: JobSummary[];
  /** The cursor of the next page, if there is one. */
  next: string | null;
}

/** A file to be saved. */
export interface Download {
  blob: Blob;
  name: string;
}

export interface Options {
  /**
   * Address of the functions, where the client's own address is not the gateway's:
   * "https://<your gateway>/functions/v1".
   */
  functionsUrl?: string | undefined;
  /**
   * The app's own page that sells credits, if it has one. It gets the user's id as
   * `client_reference_id`, as a payment link does.
   */
  buyUrl?: string | null | undefined;
  /** The bucket that inputs are uploaded to. */
  bucket?: string | undefined;
  /** The largest file that the bucket takes, in bytes. 50 MB, as a project on the free plan. */
  maxUploadBytes?: number | undefined;
  /**
   * What becomes of a job that waits when its page is left: it is given up after `graceSeconds`
   * unless the page comes back, or it is kept.
   */
  onLeave?: "cancel" | "keep" | undefined;
  /** 30. */
  graceSeconds?: number | undefined;
  /** Whether to be told of changes; a job is queried from time to time in any case. */
  realtime?: boolean | undefined;
  /** Shortest time between two queries of a job, in milliseconds. */
  pollMs?: number | undefined;
  /** Longest. */
  pollMaxMs?: number | undefined;
}

export interface Jobs {
  /** Names this page; the functions cancel what waits by it. */
  readonly sessionId: string;
  /**
   * Orders a job. Uploads every Blob in `input` first, unless the order cannot be paid; `file`
   * stands for a tool's only file.
   */
  run<T extends ToolName>(tool: T, input: JobInput<T>, limits?: Limits): Job<T>;
  /** The user's live jobs, newest first: what a page shows after a reload. */
  resume(): Promise<Job[]>;
  /** Any job of the user, live or final. */
  job(id: string): Promise<Job>;
  /** The jobs known on this page, newest first. It is the same list until something changes. */
  list(): Job[];
  /** Calls the listener when the list or one of its jobs changes; returns what stops this. */
  subscribe(listener: () => void): () => void;
  /** Cancels what this page uploads or waits for, at once. */
  leave(): void;
  /**
   * What the order would cost; nobody needs to be signed in, and files may be missing. A browser
   * tells the length of a video that is not uploaded yet; the order is charged by what arrives.
   */
  price<T extends ToolName>(tool: T, input: Partial<JobInput<T>>): Promise<Price>;
  /** What the user has, and owes from payments that were returned. */
  balance(): Promise<Balance>;
  /** Tells the balance now and whenever it changes; returns the function that stops this. */
  onBalance(listener: (balance: Balance) => void): () => void;
  /** What is on sale; nobody needs to be signed in. */
  tools(): Promise<Tool[]>;
  /** The credits on sale; nobody needs to be signed in. */
  packs(): Promise<Pack[]>;
  /**
   * Goes to the page where the pack is paid, and resolves to its address. What waits goes on
   * waiting. The checkout comes back with `?purchase=paid` or `cancelled`.
   */
  buy(pack: string, options?: { returnUrl?: string | undefined }): Promise<string>;
  /** The user's entries, newest first. */
  ledger(page?: LedgerQuery): Promise<LedgerPage>;
  /** The user's jobs of every page and device, newest first. */
  history(page?: HistoryQuery): Promise<HistoryPage>;
  /** One piece of a job's result; all of them, or a website, as an archive. */
  download(job: Job | string, options?: { index?: number | undefined }): Promise<Download>;
  /** Stops everything that this object does by itself. */
  dispose(): void;
}
