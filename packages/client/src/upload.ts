// Uploads a file to the app's storage: as a whole with a signed URL, or a large one in chunks.

import { inMegabytes } from "./check.js";
import type { Connection } from "./connection.js";
import { JobError } from "./errors.js";
import { typeOf } from "./files.js";
import { send } from "./send.js";
import { retried } from "./wait.js";

/** Larger files are sent in chunks of this size, which Supabase requires. */
export const CHUNK_BYTES = 6 * 1024 * 1024;

export interface Upload {
  connection: Connection;
  file: Blob;
  path: string;
  pauseMs: number;
  onProgress: (bytes: number) => void;
  signal: AbortSignal;
}

/** Uploads a file; returns its public URL. */
export async function upload(given: Upload): Promise<string> {
  const { connection, file, path, onProgress, pauseMs, signal } = given;
  if (file.size > CHUNK_BYTES) {
    const { sendInChunks } = await import("./tus.js");
    await sendInChunks(given);
  } else {
    await retried(() => sendWhole(given), isPassingUpload, pauseMs, signal);
  }
  onProgress(file.size);
  return connection.bucket.getPublicUrl(path).data.publicUrl;
}

async function sendWhole(given: Upload): Promise<void> {
  const { connection, file, onProgress, signal } = given;
  const signed = await sign(given);
  if (!signed) return;
  signal.throwIfAborted();
  const { status, text } = await send({
    method: "PUT",
    url: signed.signedUrl,
    headers: { apikey: connection.projectKey, "content-type": typeOf(file) },
    body: file,
    onProgress: (bytes) => onProgress(Math.min(bytes, file.size)),
    signal,
  });
  if (status >= 300) refuse(given, status, text);
}

/** A signed URL for the upload of this file; null if the file is already there. */
export async function sign(given: Upload) {
  const { data, error } = await given.connection.bucket.createSignedUploadUrl(given.path);
  if (!error) return data;
  // Older versions of supabase-js give fewer fields of an error.
  const { status = 0, statusCode, message } = error as unknown as Record<string, any>;
  refuse(given, status, JSON.stringify({ statusCode, message }));
  return null;
}

/** Throws a JobError for a refusal by storage. A 409 means that the file has already arrived. */
export function refuse({ file }: Upload, status: number, text: string): void {
  const said = parsed(text);
  // Storage answers 400 to most errors, with the real status in the body.
  const meant = Number(said.statusCode) || status;
  // Nobody else knows the path, so the file is this one: an earlier answer was lost.
  if (meant === 409) return;
  if (meant === 413) {
    const message = `Storage takes no file of ${inMegabytes(file.size)}`;
    throw new JobError("too_large", message, meant, { size: file.size });
  }
  const message = said.message || "The upload did not arrive";
  throw new JobError(meant === 415 ? "wrong_type" : "upload_failed", message, meant, said);
}

function parsed(text: string): Record<string, any> {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return { message: text.trim() };
  }
}

/** Whether a retry may help: there was no answer, or storage had a temporary fault. */
export function isPassingUpload(error: unknown): boolean {
  if (!(error instanceof JobError)) return false;
  if (error.code === "upload_stalled") return true;
  const { code, status } = error;
  return code === "upload_failed" && (status === 0 || status === 429 || status >= 500);
}
