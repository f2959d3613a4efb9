// Made from openapi.yaml by `cargo xtask generate`, which writes over every change.

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
