// The public types of the client.

import type { SupabaseClient as AnyClient } from "@supabase/supabase-js";
import type { InputUrl, ToolAnswers, ToolInputs, ToolName } from "./contract.js";
import type { JobError, JobErrorName } from "./errors.js";

/** The app's own Supabase client, whatever types its database has. */
export type SupabaseClient = AnyClient<any, any, any>;

export type State = "uploading" | "waiting" | "running" | "done" | "failed" | "cancelled";

/** The names of the input's fields that take one file. */
type FileField<I> = { [K in keyof I]-?: InputUrl extends I[K] ? K : never }[keyof I];

/** The only one of these names; `never` if there are several. */
type Only<K, All = K> = K extends unknown ? ([All] extends [K] ? K : never) : never;

/** The input with its only file under the name `file`. */
type WithFile<I, K extends keyof I> = [K] extends [never]
  ? never
  : Omit<I, K> & { file: InputUrl } & { [name in K]?: never };

/** The input of an order. */
export type JobInput<T extends ToolName> =
  ToolInputs[T] | WithFile<ToolInputs[T], Only<FileField<ToolInputs[T]>>>;

/** One output of a job. */
export interface Output {
  /** The number of the output within the order, from 0. */
  index: number;
  /** A URL that a browser can open; null if this output failed. */
  url: string | null;
  /** `files` is a website, which `download` returns as an archive. */
  kind: "image" | "video" | "files";
  error: { code: JobErrorName; message: string } | null;
}

/** The state of a job. */
export interface Update<T extends ToolName = ToolName> {
  id: string;
  tool: T;
  state: State;
  /** The share of the upload that has arrived, 0 to 1. */
  progress: number;
  /** The position in the queue while the job waits. */
  position: number | null;
  /** The estimated wait in seconds. */
  etaSeconds: number | null;
  /** The number of the running step, if the job has several. */
  step: number | null;
  totalSteps: number | null;
  /** The URL of the result, if it is one file. */
  outputUrl: string | null;
  /** All outputs. */
  outputs: Output[];
  /** The order's input; after the upload, it has URLs in place of files. */
  input: Record<string, any>;
  /** The function's last answer, with the fields that only this tool has. */
  answer: Partial<ToolAnswers[T]>;
  creditsCharged: number | null;
  creditsRefunded: number;
  /** When the job was ordered. This and the next two times are by the server's clock. */
  createdAt: string | null;
  /** When the provider accepted the job. */
  startedAt: string | null;
  /** When the job ended. */
  completedAt: string | null;
  /** How long the provider had worked on the job when this update was made, in milliseconds. */
  elapsedMs: number | null;
  /** Why the job failed or was cancelled. */
  error: JobError | null;
}

export interface Job<T extends ToolName = ToolName> {
  readonly id: string;
  readonly tool: T;
  /** The latest update. It is the same object until something changes. */
  readonly update: Update<T>;
  /** Resolves when the job is done. Rejects with a JobError if it fails or is cancelled. */
  readonly result: Promise<Update<T>>;
  /** Calls the listener at once and at every change. Returns the function that ends this. */
  subscribe(listener: (update: Update<T>) => void): () => void;
  /**
   * Cancels a job that uploads or waits. A running job can be cancelled only if its tool allows it.
   */
  cancel(): Promise<void>;
}

export interface Limits {
  /** An order that costs more is refused with `price_changed`. */
  maxCredits?: number | null | undefined;
}

/** The price of an order at present. */
export interface Price {
  credits: number;
  /** The credits that the user can spend; null if nobody is signed in. */
  balance: number | null;
  /** Whether the balance pays for the order; null if nobody is signed in. */
  enough: boolean | null;
  /** The estimated wait in seconds until the job starts. */
  etaSeconds: number | null;
  /**
   * The unit (`second` or `megapixel`) of a price that depends on files which nobody can measure
   * yet: `credits` is then the highest possible price.
   */
  unmeasured: string | null;
  /** The lowest possible price; equal to `credits` if nothing is unmeasured. */
  lowest: number;
}

/** One rule of a tool's price. It applies to inputs that meet every condition of `matches`. */
export interface PriceRule {
  matches: Record<string, any>;
  credits: number;
  pricedPer: "job" | "step" | "second" | "megapixel";
  /** The lowest price of such an order, if it is priced by second or megapixel. */
  creditsMin: number | null;
}

/** A tool on sale. The first rule that applies gives the price; without one it is `credits`. */
export interface Tool {
  tool: ToolName;
  credits: number;
  pricedPer: "job" | "step";
  rules: PriceRule[];
}

/** A pack of credits. */
export interface Pack {
  pack: string;
  credits: number;
  /** Whether the pack is a subscription. */
  recurring: boolean;
  /** Name and price by language. */
  words: Record<string, { name?: string; price?: string }>;
}

export interface Balance {
  balance: number;
  /** The credits that the user owes since a payment was returned. */
  debt: number;
}

/** The ways in which credits are given. */
export type GiftKind = "grant" | "purchase" | "bonus" | "goodwill";

/** An entry of the ledger: one change of the balance. */
export interface Entry {
  id: number;
  at: string;
  kind: GiftKind | "debit" | "refund" | "adjustment" | "chargeback";
  amount: number;
  balanceAfter: number;
  reason: string | null;
  jobId: string | null;
  /** The tool of the entry's job. */
  tool: ToolName | null;
}

export interface LedgerQuery {
  /** The `next` of the previous page. */
  cursor?: number | null | undefined;
  limit?: number | undefined;
}

export interface LedgerPage {
  entries: Entry[];
  /** The cursor of the next page; null if there is none. */
  next: number | null;
}

/** A job in the history. */
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
  /** The `next` of the previous page. */
  cursor?: string | null | undefined;
  limit?: number | undefined;
  status?: JobSummary["status"] | undefined;
  tool?: ToolName | undefined;
}

export interface HistoryPage {
  jobs: JobSummary[];
  /** The cursor of the next page; null if there is none. */
  next: string | null;
}

/** A file to save. */
export interface Download {
  blob: Blob;
  name: string;
}

export interface Options {
  /**
   * The URL of the functions, unless it is below the Supabase client's own URL:
   * "https://<your gateway>/functions/v1".
   */
  functionsUrl?: string | undefined;
  /**
   * The app's own page that sells credits, if it has one. It gets the user's id as
   * `client_reference_id`, as a payment link does.
   */
  buyUrl?: string | null | undefined;
  /** The bucket for uploads. Default: `uploads`. */
  bucket?: string | undefined;
  /**
   * The largest file that the bucket takes, in bytes. Default: 50 MB, as for a project on the free
   * plan.
   */
  maxUploadBytes?: number | undefined;
  /**
   * What happens to a waiting job when its page is left: it is cancelled after `graceSeconds`
   * unless the page comes back (the default), or it is kept. If its user signs out or `dispose` is
   * called, it is cancelled about 150 seconds later, or kept.
   */
  onLeave?: "cancel" | "keep" | undefined;
  /** How long a waiting job outlives its page, in seconds: from 0 to 300. Default: 30. */
  graceSeconds?: number | undefined;
  /**
   * Whether to listen to changes by Realtime. Each job is also queried at intervals. Default: true.
   */
  realtime?: boolean | undefined;
  /** The shortest time between two queries of a job, in milliseconds. Default: 700. */
  pollMs?: number | undefined;
  /** The longest time between two queries of a job, in milliseconds. Default: 3000. */
  pollMaxMs?: number | undefined;
}

export interface Jobs {
  /** The id of the page's session, under which the functions cancel its waiting jobs. */
  readonly sessionId: string;
  /**
   * Orders a job. Uploads every Blob in `input` first, unless the order cannot be paid. `file`
   * stands for a tool's only file.
   */
  run<T extends ToolName>(tool: T, input: JobInput<T>, limits?: Limits): Job<T>;
  /** The user's live jobs, newest first, for example after a reload. The client follows them. */
  resume(): Promise<Job[]>;
  /** Any job of the user, live or ended. */
  job(id: string): Promise<Job>;
  /** The jobs known on this page, newest first. It is the same list until something changes. */
  list(): Job[];
  /**
   * Calls the listener when the list or one of its jobs changes. Returns the function that ends
   * this.
   */
  subscribe(listener: () => void): () => void;
  /** Cancels the uploading and waiting jobs of this page at once. */
  leave(): void;
  /**
   * The price of an order. Nobody needs to be signed in, and files may be missing. The length of a
   * video is measured in the browser; the order is charged by the uploaded file.
   */
  price<T extends ToolName>(tool: T, input: Partial<JobInput<T>>): Promise<Price>;
  /** The user's balance, and the debt from returned payments. */
  balance(): Promise<Balance>;
  /**
   * Calls the listener with the balance now and at every change. Returns the function that ends
   * this.
   */
  onBalance(listener: (balance: Balance) => void): () => void;
  /** The tools on sale; nobody needs to be signed in. */
  tools(): Promise<Tool[]>;
  /** The packs on sale; nobody needs to be signed in. */
  packs(): Promise<Pack[]>;
  /**
   * Goes to the page where the pack is paid, and resolves to its URL. Waiting jobs keep their
   * positions. The checkout returns with `?purchase=paid` or `cancelled`.
   */
  buy(pack: string, options?: { returnUrl?: string | undefined }): Promise<string>;
  /** The user's ledger entries, newest first. */
  ledger(page?: LedgerQuery): Promise<LedgerPage>;
  /** The user's jobs of every page and device, newest first. */
  history(page?: HistoryQuery): Promise<HistoryPage>;
  /** One output of a job; all outputs, or a website, as an archive. */
  download(job: Job | string, options?: { index?: number | undefined }): Promise<Download>;
  /**
   * Stops everything that the client does by itself. Running jobs go on. Waiting jobs are cancelled
   * about 150 seconds later, because the page no longer says that it waits for them, unless
   * `onLeave` is `keep`.
   */
  dispose(): void;
}
