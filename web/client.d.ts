// Made of packages/client by `cargo xtask generate`: the package in one file, for
// pages without a bundler. What each part is for is said there and in client.d.ts.
/** What each tool takes. A deployment with tools of its own adds them to these two. */
export interface ToolInputs {
  /** Enlarge a picture */
  "runninghub-upscaler": {
    /** The picture to enlarge */
    imageUrl: InputUrl;
    /** The longer side of the result in pixels. 512 to 8192. 2048 if left out. For example 4096. */
    resolution?: number | undefined;
    /** How much detail may be made anew: 0 keeps to the picture. 0 to 1. For example 0.3. */
    detailDenoise?: number | undefined;
    /**
     * What the picture shows, in words. At most 2000 characters. For example "A red bicycle at a
     * wall".
     */
    prompt?: string | undefined;
    /** `pro` is better and costs more. "standard" if left out. */
    version?: "standard" | "pro" | undefined;
    /**
     * What kind of picture it is, where your app at RunningHub takes it. At most 200 characters.
     * For example "portrait".
     */
    category?: string | undefined;
    /**
     * How it is framed, where your app at RunningHub takes it. At most 200 characters. For example
     * "centre".
     */
    framingMode?: string | undefined;
  };
  /** Enlarge a video */
  "runninghub-video-upscaler": {
    /** The video to enlarge */
    videoUrl: InputUrl;
    /** The video's width in pixels, where the page knows it. 1 to 8192. For example 1280. */
    width?: number | undefined;
    /** The video's height in pixels, where the page knows it. 1 to 8192. For example 720. */
    height?: number | undefined;
    /**
     * For a quote before the upload; the order is priced by what was stored. More than 0. At most
     * 900. For example 12.5.
     */
    durationSeconds?: number | undefined;
  };
  /** The same person in another pose */
  "runninghub-pose-changer": {
    /** A picture of the person */
    personImageUrl: InputUrl;
    /** A picture of somebody in the pose that is wanted */
    referenceImageUrl: InputUrl;
  };
  /** A garment on a person */
  "runninghub-veste-ai": {
    /** A picture of the person */
    personImageUrl: InputUrl;
    /** A picture of the garment */
    clothingImageUrl: InputUrl;
  };
  /** Dress a person in one to five garments, one after the other; each garment is priced */
  "replicate-async-start": {
    /** A picture of the person */
    person_image: InputUrl;
    /** What the person puts on, one after the other; each is a step, and priced. 1 to 5 items. */
    garments: Array<{
      /** A picture of the garment */
      image: InputUrl;
      /** Where it is worn: above the waist, below it, or both. For example "upper_body". */
      category: "upper_body" | "lower_body" | "dresses";
    }>;
    /**
     * Words about the garments: one text for all, or one for each. For example ["A red shirt","Blue
     * jeans"].
     */
    prompt_hints?: string | string[] | null | undefined;
  };
  /** Order cards for a product; each card is priced */
  "create-generation-job-banana": {
    /** As the cards name it. 1 to 200 characters. For example "Steel bottle". */
    productName: string;
    /** What kind of thing it is, in words. At most 200 characters. For example "Kitchen". */
    category?: string | undefined;
    /**
     * What a card may say of it, in words. At most 2000 characters. For example "Holds 0.5 l, keeps
     * tea hot for 12 hours".
     */
    description?: string | undefined;
    /** Pictures of the product; every card is made from all of them. 1 to 5 items. */
    productImages: Array<{
      /** A picture */
      url: InputUrl;
      /** What the picture shows. At most 200 characters. For example "front". */
      type?: string | undefined;
    }>;
    /** Which of the seven cards, none twice; each is priced. 1 to 7 items. For example [0,2,5]. */
    selectedCards: CardNumber[];
    /**
     * Width to height. The last four are for models named `gemini-3.1-flash-image…` alone. "3:4" if
     * left out.
     */
    aspectRatio?: AspectRatio | undefined;
  };
  /** Order a site, or retry one that went stale */
  "generate-website": {
    /** What the site is for, in words. 1 to 10000 characters. For example "A page for a bakery". */
    prompt: string;
    /** Its title. At most 200 characters. For example "Crumb & Co.". */
    siteName?: string | undefined;
    /**
     * In which language it is written; that of the prompt, if left out. At most 50 characters. For
     * example "Portuguese".
     */
    language?: string | undefined;
    /**
     * Who pays, where the app's teams do; needed by a member of several. At most 36 characters. For
     * example "3f0b7c1e-90a1-4c9a-8a52-0f4f6f3e2a10".
     */
    teamId?: string | undefined;
  };
  /** Order a site, or retry one that went stale */
  "generate-react-website": ToolInputs["generate-website"];
  /** Order a site, or retry one that went stale */
  "generate-php-website": ToolInputs["generate-website"];
}
/** What each tool tells of its job: `Update.answer`. */
export interface ToolAnswers {
  /** How a job goes */
  "runninghub-upscaler": {
    success: true;
    /** The job's */
    jobId: string;
    /**
     * The word for a state that all tools have in common; `completed`, `failed` and `cancelled` are
     * final
     */
    status: ToolStatus;
    /** Its position in its provider's queue, from 1; null unless the job waits */
    position: number | null;
    /** In how many seconds it will start; null where it does not wait */
    etaSeconds: number | null;
    /** The result; null until the job is completed */
    outputUrl: string | null;
    /** `PROVIDER_BUSY` while the job waits because the provider takes no more, and never later */
    errorCode: JobErrorCode | null;
    /** Why it failed or was cancelled, in words; null otherwise */
    errorMessage: string | null;
    /** What came back of it */
    creditsRefunded: number;
    /** The provider's name for it; null while it is not known */
    taskId: string | null;
    /** What was taken */
    creditsCharged: number;
  };
  /** How a job goes */
  "runninghub-video-upscaler": ToolAnswers["runninghub-upscaler"];
  /** How a job goes */
  "runninghub-pose-changer": ToolAnswers["runninghub-upscaler"];
  /** How a job goes */
  "runninghub-veste-ai": ToolAnswers["runninghub-upscaler"];
  /** How a chain goes */
  "replicate-async-start": {
    /** The job's */
    task_id: string;
    /** How far it is */
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    /** Which garment is being put on, from 1; 0 before the first */
    current_step: number;
    /** How many garments there are */
    total_steps: number;
    /** The person in all garments; null until the job is completed */
    result_url: string | null;
    /** Why it failed or was cancelled, in words; null otherwise */
    error_message: string | null;
  };
  /** The cards of a job */
  "create-generation-job-banana": {
    /** The job's */
    jobId: string;
    /** How far it is */
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    /** How many cards were ordered */
    totalCards: number;
    /** How many of them are made */
    completedCards: number;
    /** What was taken */
    creditsCharged: number;
    /** What came back of it: the price of each card that failed */
    creditsRefunded: number;
    /** Why it failed or was cancelled, in words; null otherwise */
    errorMessage: string | null;
    /** Each card, in the order of `selectedCards` */
    tasks: Array<{
      /** Which card it is */
      cardIndex: CardNumber | null;
      /** `retrying` waits for its next try */
      status: "pending" | "retrying" | "processing" | "completed" | "failed" | "cancelled";
      /** The card; null until it is made */
      imageUrl: string | null;
      /** Why it failed the last time, in words */
      lastError: string | null;
    }>;
  };
  /** How a generation goes, and its files */
  "generate-website": {
    /** The site's */
    historyId: string;
    /** How far it is */
    status: "pending" | "generating" | "completed" | "failed" | "cancelled";
    /** Of the finished site; empty until then */
    files: Array<{
      /** Relative, with forward slashes. For example "css/style.css". */
      path: string;
      /** The text of the file */
      content: string;
    }>;
    /** Why it failed or was cancelled, in words; null otherwise */
    errorMessage: string | null;
    /** How often it was retried */
    retries: number;
    /** What came back of it */
    creditsRefunded: number;
  };
  /** How a generation goes, and its files */
  "generate-react-website": ToolAnswers["generate-website"];
  /** How a generation goes, and its files */
  "generate-php-website": ToolAnswers["generate-website"];
}
export type ToolName = keyof ToolInputs;
/**
 * An object of the caller's own in our storage, or on an allowed host; or the file, which is
 * uploaded
 */
export type InputUrl = string | Blob;
/** Width to height. The last four are for models named `gemini-3.1-flash-image…` alone */
export type AspectRatio =
  | "1:1"
  | "2:3"
  | "3:2"
  | "3:4"
  | "4:3"
  | "4:5"
  | "5:4"
  | "9:16"
  | "16:9"
  | "21:9"
  | "1:4"
  | "4:1"
  | "1:8"
  | "8:1";
/** A card of a product */
export type CardNumber =
  /** Cover: the product large, its name as the headline */
  | 0
  /** Benefits: the product beside three short benefits */
  | 1
  /** Details: close-ups of material and workmanship */
  | 2
  /** Size: the product with its dimensions */
  | 3
  /** In use: the product where it is used */
  | 4
  /** How to use: three numbered steps */
  | 5
  /** What is included: everything that is in the box */
  | 6;
/** Why a call was refused or failed */
export type ErrorCode =
  /** 400. The request is not valid; `field` names the field at fault, if it is one */
  | "bad_request"
  /** 401. Nobody is signed in, or the token is no good */
  | "unauthorized"
  /** 402. The balance does not pay it: `balance`, `required`. Nothing was created */
  | "insufficient_credits"
  /** 403. The caller may not do this */
  | "forbidden"
  /** 404. There is no such thing, or it is another user's */
  | "not_found"
  /** 405. The function takes another method: `Allow` */
  | "method_not_allowed"
  /**
   * 409. One job at a time over the RunningHub tools: `activeJobId`, `activeTool`, `activeStatus`
   */
  | "active_job_exists"
  /** 409. The job has ended: `status` */
  | "already_final"
  /** 409. The job runs, and its tool does not let go of it */
  | "in_progress"
  /** 409. The order costs more than `maxCredits`: `credits`. Nothing was charged */
  | "price_changed"
  /** 409. The id was used for a different order */
  | "idempotency_conflict"
  /** 413. The body is too large */
  | "payload_too_large"
  /** 429. Too many calls: `Retry-After` */
  | "rate_limited"
  /** 422. The provider will not do it: `refunded`, `refundedCredits` */
  | "provider_rejected"
  /** 503. The line is so long that the job would not start in time: `Retry-After` */
  | "queue_full"
  /** 503. The tool is switched off. Nothing was charged */
  | "tool_disabled"
  /** 503. The database belongs to another deployment than the functions */
  | "wrong_deployment"
  /** 503. The database, the storage or the provider does not answer */
  | "upstream_unavailable"
  /** 500. A fault of ours; `request_id` finds it in the log */
  | "internal"
  /** 500. The function lacks a setting */
  | "misconfigured";
/** Why a job has no result, or waits */
export type JobErrorCode =
  /** It waits, because the provider takes no more */
  | "PROVIDER_BUSY"
  /** It ran for longer than its tool may */
  | "TIMEOUT"
  /** It waited for longer than its tool may */
  | "QUEUE_TIMEOUT"
  /** The provider would not begin it */
  | "PROVIDER_REJECTED"
  /** The provider began it and did not make it */
  | "PROVIDER_FAILED"
  /** The provider refused what was asked for, or what it made of that */
  | "CONTENT_REFUSED"
  /** It was made, and could not be stored */
  | "DELIVERY_FAILED"
  /** The user, an admin or a page that was left gave it up */
  | "CANCELLED"
  /** A row that an older page wrote could not be paid */
  | "INSUFFICIENT_CREDITS"
  /** The credits could not be taken */
  | "CREDIT_ERROR"
  /** A row that an older page wrote was never ordered */
  | "ORPHANED";
/**
 * The word for a state that all tools have in common; `completed`, `failed` and `cancelled` are
 * final
 */
export type ToolStatus = "queued" | "running" | "completed" | "failed" | "cancelled";

/** The codes of errors that the client itself detects. docs/integrating.md explains each. */
export type ClientErrorCode =
  | "network"
  | "upload_failed"
  | "upload_stalled"
  | "too_large"
  | "empty_file"
  | "wrong_type"
  | "signed_out"
  | "disposed"
  | "misconfigured"
  | "FAILED";
/** The code of a refused call, of a job that ended without a result, or of the client itself. */
export type JobErrorName = ErrorCode | JobErrorCode | ClientErrorCode;
/** An error: its `code`, and in `details` every field of the answer that reported it. */
export declare class JobError extends Error {
  readonly name = "JobError";
  readonly code: JobErrorName;
  /** The HTTP status of the answer; 0 if there was none. */
  readonly status: number;
  readonly details: Record<string, any>;
  /** The largest size of a file in bytes, if the code is `too_large`. */
  readonly limit: number | null;
  constructor(code: JobErrorName, message: string, status?: number, details?: Record<string, any>);
}
declare function isPassing(error: unknown): boolean;
declare function asJobError(error: unknown): JobError;
declare const cancelled: () => JobError;

export interface Endpoints {
  /** The path of the endpoint that takes orders. */
  order: string;
  /** The path of the endpoint that reports a job's state, to which the job's id is appended. */
  status: string;
  /** The field of the order that takes the job's id. */
  idField: string;
  /** The field of the order that takes the page's session id. */
  sessionField: string;
  /** The field of the order for which an input's `file` stands. */
  fileField: string;
}
export declare function endpoints(tool: string, family?: string): Endpoints;

/**
 * Whether the balance pays for the order, or may do so: as long as files are not measured, the
 * price can turn out to be the lowest one.
 */
export declare function mayBePaid({ enough, unmeasured, balance, lowest }: Price): boolean;

import type { SupabaseClient as AnyClient } from "@supabase/supabase-js";
/** The app's own Supabase client, whatever types its database has. */
export type SupabaseClient = AnyClient<any, any, any>;
export type State = "uploading" | "waiting" | "running" | "done" | "failed" | "cancelled";
/** The names of the input's fields that take one file. */
type FileField<I> = {
  [K in keyof I]-?: InputUrl extends I[K] ? K : never;
}[keyof I];
/** The only one of these names; `never` if there are several. */
type Only<K, All = K> = K extends unknown ? ([All] extends [K] ? K : never) : never;
/** The input with its only file under the name `file`. */
type WithFile<I, K extends keyof I> = [K] extends [never]
  ? never
  : Omit<I, K> & {
      file: InputUrl;
    } & {
      [name in K]?: never;
    };
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
  error: {
    code: JobErrorName;
    message: string;
  } | null;
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
  words: Record<
    string,
    {
      name?: string;
      price?: string;
    }
  >;
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
  error: {
    code: JobErrorName;
    message: string;
  } | null;
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
  buy(
    pack: string,
    options?: {
      returnUrl?: string | undefined;
    },
  ): Promise<string>;
  /** The user's ledger entries, newest first. */
  ledger(page?: LedgerQuery): Promise<LedgerPage>;
  /** The user's jobs of every page and device, newest first. */
  history(page?: HistoryQuery): Promise<HistoryPage>;
  /** One output of a job; all outputs, or a website, as an archive. */
  download(
    job: Job | string,
    options?: {
      index?: number | undefined;
    },
  ): Promise<Download>;
  /**
   * Stops everything that the client does by itself. Running jobs go on. Waiting jobs are cancelled
   * about 150 seconds later, because the page no longer says that it waits for them, unless
   * `onLeave` is `keep`.
   */
  dispose(): void;
}

export declare function createJobs(supabase: SupabaseClient, options?: Options): Jobs;

export {};
