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
  readonly code: JobErrorName;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
  readonly details: Record<string, any>;
  /** What may be at most, in bytes: of a file that is `too_large`. */
  readonly limit: number | null;

  constructor(code: JobErrorName, message: string, status = 0, details: Record<string, any> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
    this.limit = details.limit ?? null;
  }
}

/** Codes of errors that a retry may get past. */
const PASSING: JobErrorName[] = ["network", "upstream_unavailable", "internal"];

export function isPassing(error: unknown): boolean {
  return error instanceof JobError && PASSING.includes(error.code);
}

export function asJobError(error: unknown): JobError {
  return error instanceof JobError ? error : new JobError("internal", String(error));
}

export const cancelled = () => new JobError("CANCELLED", "Cancelled");
