// What each tool takes and answers, and the codes of errors, as openapi.yaml says.

/** The address of a file in our storage or on an allowed host, or the file, to be uploaded. */
export type InputUrl = string | Blob;

interface WebsiteInput {
  /** What the site is for, in words. */
  prompt: string;
  siteName?: string;
  language?: string;
  teamId?: string;
}

interface QueueStatus {
  jobId: string;
  status: "queued" | "running" | "completed" | "failed" | "cancelled";
  position: number | null;
  etaSeconds: number | null;
  outputUrl: string | null;
  errorCode: string | null;
  errorMessage: string | null;
  creditsRefunded: number;
}

interface WebsiteAnswer {
  historyId: string;
  status: "pending" | "generating" | "completed" | "failed" | "cancelled";
  files: { path: string; content: string }[];
  errorMessage: string | null;
  retries: number;
  creditsRefunded: number;
}

/** The input of each tool. A deployment with tools of its own adds them to this interface. */
export interface ToolInputs {
  "runninghub-upscaler": {
    imageUrl: InputUrl;
    resolution?: number;
    detailDenoise?: number;
    prompt?: string;
    version?: "standard" | "pro";
    category?: string;
    framingMode?: string;
  };
  "runninghub-video-upscaler": {
    videoUrl: InputUrl;
    width?: number;
    height?: number;
    durationSeconds?: number;
  };
  "runninghub-pose-changer": { personImageUrl: InputUrl; referenceImageUrl: InputUrl };
  "runninghub-veste-ai": { personImageUrl: InputUrl; clothingImageUrl: InputUrl };
  "generate-website": WebsiteInput;
  "generate-react-website": WebsiteInput;
  "generate-php-website": WebsiteInput;
  "create-generation-job-banana": {
    productName: string;
    category?: string;
    description?: string;
    productImages: { url: InputUrl; type?: string }[];
    selectedCards: number[];
    aspectRatio?: string;
  };
  "replicate-async-start": {
    person_image: InputUrl;
    garments: { image: InputUrl; category: "upper_body" | "lower_body" | "dresses" }[];
    prompt_hints?: string | string[] | null;
  };
}

/** What each tool's own status says. */
export interface ToolAnswers {
  "runninghub-upscaler": QueueStatus;
  "runninghub-video-upscaler": QueueStatus;
  "runninghub-pose-changer": QueueStatus;
  "runninghub-veste-ai": QueueStatus;
  "generate-website": WebsiteAnswer;
  "generate-react-website": WebsiteAnswer;
  "generate-php-website": WebsiteAnswer;
  "create-generation-job-banana": {
    jobId: string;
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    totalCards: number;
    completedCards: number;
    creditsCharged?: number;
    creditsRefunded: number;
    errorMessage?: string | null;
    tasks: {
      cardIndex: number | null;
      status: "pending" | "retrying" | "processing" | "completed" | "failed" | "cancelled";
      imageUrl: string | null;
      lastError: string | null;
    }[];
  };
  "replicate-async-start": {
    task_id: string;
    status: "pending" | "processing" | "completed" | "failed" | "cancelled";
    current_step: number;
    total_steps: number;
    result_url: string | null;
    error_message: string | null;
  };
}

export type ToolName = keyof ToolInputs;

/** Why a call was refused. */
export type ErrorCode =
  | "bad_request"
  | "unauthorized"
  | "insufficient_credits"
  | "forbidden"
  | "not_found"
  | "method_not_allowed"
  | "active_job_exists"
  | "already_final"
  | "in_progress"
  | "idempotency_conflict"
  | "payload_too_large"
  | "rate_limited"
  | "provider_rejected"
  | "queue_full"
  | "price_changed"
  | "tool_disabled"
  | "upstream_unavailable"
  | "misconfigured"
  | "internal";

/** Why a job ended without a result, or waits. */
export type JobErrorCode =
  | "PROVIDER_BUSY"
  | "TIMEOUT"
  | "QUEUE_TIMEOUT"
  | "PROVIDER_REJECTED"
  | "PROVIDER_FAILED"
  | "CONTENT_REFUSED"
  | "DELIVERY_FAILED"
  | "CANCELLED"
  | "INSUFFICIENT_CREDITS"
  | "CREDIT_ERROR"
  | "ORPHANED";
