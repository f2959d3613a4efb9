// Sends bytes. A browser uses XMLHttpRequest, because `fetch` does not report progress.

import { JobError } from "./errors.js";

/** A transfer without progress for that long counts as stalled. */
const STALL_MS = 30_000;

export interface Sending {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Blob;
  onProgress?: (bytes: number) => void;
  signal: AbortSignal;
}

export interface Sent {
  status: number;
  text: string;
  header(name: string): string | null;
}

export async function send(sending: Sending): Promise<Sent> {
  sending.signal.throwIfAborted();
  if (typeof XMLHttpRequest !== "undefined") return sendWatched(sending);
  const { method, url, headers, body = null, signal } = sending;
  const response = await fetch(url, { method, headers, body, signal }).catch((error) => {
    throw new JobError("upload_failed", String(error?.message ?? error));
  });
  const text = await response.text();
  return { status: response.status, text, header: (name) => response.headers.get(name) };
}

function sendWatched({ method, url, headers, body, onProgress, signal }: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let timer: ReturnType<typeof setTimeout>;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        fail("upload_stalled", `Nothing arrived for ${STALL_MS / 1000} seconds`);
        xhr.abort();
      }, STALL_MS);
    };
    const fail = (code: "upload_failed" | "upload_stalled", message: string) =>
      reject(new JobError(code, message));
    const abort = () => xhr.abort();
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded }) => {
      watch();
      onProgress?.(loaded);
    };
    xhr.onload = () =>
      resolve({
        status: xhr.status,
        text: xhr.responseText,
        header: (name) => xhr.getResponseHeader(name),
      });
    xhr.onerror = () => fail("upload_failed", "The upload did not arrive");
    xhr.onabort = () => fail("upload_failed", "The upload was broken off");
    xhr.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort);
    watch();
    xhr.send(body ?? null);
  });
}
