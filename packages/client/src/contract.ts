// Made from openapi.yaml by `cargo xtask generate`, which writes over every change.

/** A file that the client uploads, or a URL. An object of the caller's own in our storage */
export type InputFile = Blob | string;

/** The only file of a tool: by its own name, or as `file`. */
export type OnlyFile<Name extends string> =
  | ({ [name in Name]: InputFile } & { file?: never })
  | ({ file: InputFile } & { [name in Name]?: never });

/** What each tool takes. */
export interface ToolInputs {
  /** Enlarge a picture */
  "runninghub-upscaler": OnlyFile<"imageUrl"> & {
    /** The longer side of the result in pixels. 512 to 8192. 2048 if left out. */
    resolution?: number;
    /** How much detail may be made anew. 0 to 1. */
    detailDenoise?: number;
    /** What the picture shows, in words. At most 2000 characters. */
    prompt?: string;
    /** `pro` is better and costs more. "standard" if left out. */
    version?: "standard" | "pro";
    /**
     * What kind of picture it is, where your app at RunningHub takes it. At most 200 characters.
     */
    category?: string;
    /** How it is framed, where your app at RunningHub takes it. At most 200 characters. */
    framingMode?: string;
  };

  /** Enlarge a video */
  "runninghub-video-upscaler": OnlyFile<"videoUrl"> & {
    /** Of the video in pixels, where the page knows it. 1 to 8192. */
    width?: number;
    /** Of the video in pixels, where the page knows it. 1 to 8192. */
    height?: number;
    /**
     * For a quote before the upload; the order is priced by what was stored. More than 0. At most
     * 900.
     */
    durationSeconds?: number;
  };

  /** The same person in another pose */
  "runninghub-pose-changer": {
    /** An object of the caller's own in our storage */
    personImageUrl: InputFile;
    /** An object of the caller's own in our storage */
    referenceImageUrl: InputFile;
  };

  /** A garment on a person */
  "runninghub-veste-ai": {
    /** An object of the caller's own in our storage */
    personImageUrl: InputFile;
    /** An object of the caller's own in our storage */
    clothingImageUrl: InputFile;
  };

  /** Dress a person in one to five garments, one after the other; each garment is priced */
  "replicate-async-start": {
    /** An object of the caller's own in our storage */
    person_image: InputFile;
    /** 1 to 5 items */
    garments: Array<{
      /** An object of the caller's own in our storage */
      image: InputFile;
      /** Where it is worn */
      category: "upper_body" | "lower_body" | "dresses";
    }>;
    /** Words about the garments: one text for all, or one for each */
    prompt_hints?: string | string[] | null;
  };

  /** Order cards for a product; each card is priced */
  "create-generation-job-banana": {
    /** As the cards name it. 1 to 200 characters. For example "Steel bottle". */
    productName: string;
    /** What kind of thing it is, in words. At most 200 characters. */
    category?: string;
    /** What a card may say of it, in words. At most 2000 characters. */
    description?: string;
    /** Pictures of the product. 1 to 5 items. */
    productImages: Array<{
      /** An object of the caller's own in our storage */
      url: InputFile;
      /** What the picture shows */
      type?: string;
    }>;
    /** Which of the seven cards; each is priced. 1 to 7 items. For example [0,2,5]. */
    selectedCards: CardNumber[];
    /**
     * Width to height. The last four are for models named `gemini-3.1-flash-image…` alone. "3:4" if
     * left out.
     */
    aspectRatio?: AspectRatio;
  };

  /** Order a site, or retry one that went stale */
  "generate-website": {
    /** What the site is for, in words. 1 to 10000 characters. For example "A page for a bakery". */
    prompt: string;
    /** Its title. At most 200 characters. */
    siteName?: string;
    /**
     * In which language it is written; that of the prompt, if left out. At most 50 characters. For
     * example "Portuguese".
     */
    language?: string;
    /** Who pays, where the app's teams do; needed by a member of several */
    teamId?: string;
  };

  /** Order a site, or retry one that went stale */
  "generate-react-website": ToolInputs["generate-website"];

  /** Order a site, or retry one that went stale */
  "generate-php-website": ToolInputs["generate-website"];
}

/** What is told of a job of each tool; the newest of it is in `Update.answer`. */
export interface ToolAnswers {
  /** How a job goes */
  "runninghub-upscaler": {
    success: true;
    jobId: string;
    /** The word for a state that all tools have in common */
    status: ToolStatus;
    position: number | null;
    etaSeconds: number | null;
    outputUrl: string | null;
    /** `PROVIDER_BUSY` while the job waits because the provider takes no more, and never later */
    errorCode: JobErrorCode | null;
    errorMessage: string | null;
    creditsRefunded: number;
  };

  /** How a job goes */
  "runninghub-video-upscaler": ToolAnswers["runninghub-upscaler"];

  /** How a job goes */
  "runninghub-pose-changer": ToolAnswers["runninghub-upscaler"];

  /** How a job goes */
  "runninghub-veste-ai": ToolAnswers["runninghub-upscaler"];

  /** How a chain goes */
  "replicate-async-start": {
    task_id: string;
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    current_step: number;
    total_steps: number;
    result_url: string | null;
    error_message: string | null;
  };

  /** The cards of a job */
  "create-generation-job-banana": {
    jobId: string;
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    totalCards: number;
    completedCards: number;
    creditsCharged?: number;
    creditsRefunded: number;
    errorMessage?: string | null;
    tasks: Array<{
      /** 0 to 6 */
      cardIndex: number | null;
      status: "pending" | "retrying" | "processing" | "completed" | "failed" | "cancelled";
      imageUrl: string | null;
      lastError: string | null;
    }>;
  };

  /** How a generation goes, and its files */
  "generate-website": {
    historyId: string;
    status: "pending" | "generating" | "completed" | "failed" | "cancelled";
    files: Array<{
      path: string;
      content: string;
    }>;
    errorMessage: string | null;
    retries: number;
    creditsRefunded: number;
  };

  /** How a generation goes, and its files */
  "generate-react-website": ToolAnswers["generate-website"];

  /** How a generation goes, and its files */
  "generate-php-website": ToolAnswers["generate-website"];
}

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
  /** 503. The database or the storage does not answer: `Retry-After` */
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

/** A job of any tool */
export interface JobSummary {
  id: string;
  /** The name of the tool's function. For example "runninghub-upscaler". */
  tool: ToolName;
  /** `completed`, `failed` and `cancelled` are final */
  status: ToolStatus;
  /** The place in its provider's line, from 1; null where it does not wait */
  position: number | null;
  /** In how many seconds it will start; null where it does not wait */
  etaSeconds: number | null;
  /** What was taken */
  creditsCharged: number;
  /** What came back of it */
  creditsRefunded: number;
  /**
   * Each piece of a set once it has ended; of any other tool the result, once the job is completed
   */
  outputs: JobOutput[];
  /** Why there is no result; null where nothing went wrong */
  error: null | {
    /** `PROVIDER_BUSY` while the job waits because the provider takes no more, and never later */
    code: JobErrorCode;
    /** In words, with what came back. For example "no result. 60 credits were returned.". */
    message: string;
  };
  createdAt: string;
  /** When the provider took it */
  startedAt: string | null;
  /** When it ended, however it ended */
  completedAt: string | null;
}

/** A piece of a job's result */
export interface JobOutput {
  /** Which piece of what was ordered, from 0 */
  index: number;
  /** Opens in a browser; null where this piece failed */
  url: string | null;
  /** `files`: a JSON object, `{files: [{path, content}]}` */
  kind: "image" | "video" | "files";
  /** Why there is no result; null where nothing went wrong */
  error: null | {
    /** `PROVIDER_BUSY` while the job waits because the provider takes no more, and never later */
    code: JobErrorCode;
    /** In words, with what came back. For example "no result. 60 credits were returned.". */
    message: string;
  };
}

/** The name of the tool's function */
export type ToolName =
  | "runninghub-upscaler"
  | "runninghub-video-upscaler"
  | "runninghub-pose-changer"
  | "runninghub-veste-ai"
  | "replicate-async-start"
  | "create-generation-job-banana"
  | "generate-website"
  | "generate-react-website"
  | "generate-php-website";

/** The word for a state that all tools have in common */
export type ToolStatus = "queued" | "running" | "completed" | "failed" | "cancelled";
