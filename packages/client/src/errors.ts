// What can go wrong, in one class.

import type { ErrorCode, JobErrorCode } from "./contract.js";

/** What the client finds out by itself. docs/integrating.md says what each means. */
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
  // A job that ended without saying why.
  | "FAILED";

/** Why a call was refused, why a job ended without a result, or what the client found out. */
export type JobErrorName = ErrorCode | JobErrorCode | ClientErrorCode;

/** What went wrong: its `code`, and every field of the answer that told it. */
export class JobError extends Error {
  override readonly name = "JobError";
  /** What may be at most, in bytes: of a file that is `too_large`. */
  readonly limit: number | null;

  /** `status` is that of the answer; 0 where there was none. */
  constructor(
    readonly code: JobErrorName,
    message: string,
    readonly status = 0,
    readonly details: Record<string, any> = {},
  ) {
    super(message);
    this.limit = details.limit ?? null;
  }
}
