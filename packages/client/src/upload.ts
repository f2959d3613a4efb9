// Uploads a file to the app's storage: whole by a signed address, a large one in chunks.

import { inMegabytes } from "./check.js";
import type { Connection } from "./connection.js";
import { JobError } from "./errors.js";
import { typeOf } from "./files.js";
import { send } from "./send.js";
import { retried } from "./wait.js";

/** From this size on a file is sent in chunks, each of this size: what Supabase asks for. */
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

/** The right to upload this file; null where it is there already. */
export async function sign(given: Upload) {
  const { data, error } = await given.connection.bucket.createSignedUploadUrl(given.path);
  if (!error) return data;
  // Older versions say less of an error than newer ones.
  const { status = 0, statusCode, message } = error as unknown as Record<string, any>;
  refuse(given, status, JSON.stringify({ statusCode, message }));
  return null;
}

/** Throws a JobError for a refusal by storage; a 409 means that the file has already arrived. */
export function refuse({ file }: Upload, status: number, text: string): void {
  const said = parsed(text);
  // Storage answers 400 to almost everything and says in the body what is meant.
  const meant = Number(said.statusCode) || status;
  // Nobody else knows the path: it is this file, and an answer was lost.
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

/** Whether a retry may help: nothing was answered, or that storage is not well. */
export function isPassingUpload(error: unknown): boolean {
  if (!(error instanceof JobError)) return false;
  if (error.code === "upload_stalled") return true;
  const { code, status } = error;
  return code === "upload_failed" && (status === 0 || status === 429 || status >= 500);
}
