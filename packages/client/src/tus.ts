// Uploads a large file in chunks, by TUS 1.0. After an interruption the upload continues where it
// stopped. This module is loaded for the first large file.

import { JobError } from "./errors.js";
import { typeOf } from "./files.js";
import { send, type Sent } from "./send.js";
import { CHUNK_BYTES, isPassingUpload, refuse, sign, type Upload } from "./upload.js";
import { retried } from "./wait.js";

export async function sendInChunks(upload: Upload): Promise<void> {
  const { file, onProgress, pauseMs, signal } = upload;
  const patiently = <T>(work: () => Promise<T>) => retried(work, isPassingUpload, pauseMs, signal);
  const signed = await patiently(() => sign(upload));
  if (!signed) return;
  const headers = {
    apikey: upload.connection.projectKey,
    "tus-resumable": "1.0.0",
    "x-signature": signed.token,
  };
  const url = await patiently(() => begin(upload, headers));
  if (!url) return;
  let offset = 0;
  while (offset < file.size) {
    let isFirst = true;
    offset = await patiently(async () => {
      // A part of an interrupted chunk may have arrived.
      if (!isFirst) offset = await arrived(upload, url, headers);
      isFirst = false;
      return offset < file.size ? sendChunk(upload, url, headers, offset) : offset;
    });
    onProgress(offset);
  }
}

/** The URL of the upload; null if the file is already there. */
async function begin(upload: Upload, headers: Record<string, string>): Promise<string | null> {
  const { connection, file, path, signal } = upload;
  const fields = {
    bucketName: connection.bucketName,
    objectName: path,
    contentType: typeOf(file),
    cacheControl: "3600",
  };
  const metadata = Object.entries(fields).map(([name, value]) => `${name} ${btoa(value)}`);
  const begun = await send({
    method: "POST",
    url: `${connection.projectUrl}/storage/v1/upload/resumable/sign`,
    headers: {
      ...headers,
      "upload-length": `${file.size}`,
      "upload-metadata": metadata.join(","),
    },
    signal,
  });
  return accepted(upload, begun) ? begun.header("location") : null;
}

async function arrived(
  upload: Upload,
  url: string,
  headers: Record<string, string>,
): Promise<number> {
  const told = await send({ method: "HEAD", url, headers, signal: upload.signal });
  accepted(upload, told);
  return offsetOf(told);
}

async function sendChunk(
  upload: Upload,
  url: string,
  headers: Record<string, string>,
  offset: number,
): Promise<number> {
  const { file, onProgress, signal } = upload;
  const sent = await send({
    method: "PATCH",
    url,
    headers: {
      ...headers,
      "upload-offset": `${offset}`,
      "content-type": "application/offset+octet-stream",
    },
    body: file.slice(offset, offset + CHUNK_BYTES),
    onProgress: (bytes) => onProgress(Math.min(offset + bytes, file.size)),
    signal,
  });
  // Storage expects another offset, or the interrupted chunk still locks the file. A retry asks for
  // the offset.
  if (sent.status === 409 || sent.status === 423)
    throw new JobError("upload_failed", sent.text.trim());
  accepted(upload, sent);
  return offsetOf(sent);
}

function accepted(upload: Upload, { status, text }: Sent): boolean {
  if (status >= 300) refuse(upload, status, text);
  return status < 300;
}

function offsetOf(sent: Sent): number {
  const offset = Number(sent.header("upload-offset"));
  if (!Number.isInteger(offset)) throw new JobError("upload_failed", "Storage names no offset");
  return offset;
}
