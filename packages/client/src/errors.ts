// All errors, in one class.

import type { ErrorCode, JobErrorCode } from "./contract.js";

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
  // The job failed without a reason.
  | "FAILED";

/** The code of a refused call, of a job that ended without a result, or of the client itself. */
export type JobErrorName = ErrorCode | JobErrorCode | ClientErrorCode;

/** An error: its `code`, and in `details` every field of the answer that reported it. */
export class JobError extends Error {
  override readonly name = "JobError";
  readonly code: JobErrorName;
  /** The HTTP status of the answer; 0 if there was none. */
  readonly status: number;
  readonly details: Record<string, any>;
  /** The largest size of a file in bytes, if the code is `too_large`. */
  readonly limit: number | null;

  constructor(code: JobErrorName, message: string, status = 0, details: Record<string, any> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
    this.limit = details.limit ?? null;
  }
}

/** The codes of errors after which a retry may succeed. */
const PASSING: JobErrorName[] = ["network", "upstream_unavailable", "internal"];

export function isPassing(error: unknown): boolean {
  return error instanceof JobError && PASSING.includes(error.code);
}

export function asJobError(error: unknown): JobError {
  return error instanceof JobError ? error : new JobError("internal", String(error));
}

export const cancelled = () => new JobError("CANCELLED", "Cancelled");
