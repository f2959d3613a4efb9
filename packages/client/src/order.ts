// Orders a job: checks its files, uploads them, and sends the order until it is answered.

import { changeBy } from "./change.js";
import { refuseUnfit } from "./check.js";
import { isPassing } from "./errors.js";
import { extension, hasFiles, replaced } from "./files.js";
import type { Follower } from "./follower.js";
import { refuseUnpaid } from "./price.js";
import { isSame } from "./same.js";
import { upload } from "./upload.js";
import { uuid } from "./uuid.js";
import { retried } from "./wait.js";

/**
 * Orders the job and follows it. `uploaded` is the input of an earlier order with the same id.
 * However often the same order arrives, the server accepts it once.
 */
export async function order(
  job: Follower,
  given: Record<string, any>,
  maxCredits: number | null,
  uploaded?: Record<string, any>,
): Promise<void> {
  const { page, tool } = job;
  const { connection, pollMs } = page;
  const { signal } = job.abort;
  job.isOrderOf = (input) => isSame(input, given);
  const patiently = <T>(work: () => Promise<T>) => retried(work, isPassing, pollMs, signal);
  const endpoints = await patiently(async () => {
    job.user = (await connection.session()).user.id;
    return connection.endpoints(tool);
  });
  const named = await connection.named(tool, given);
  if (!uploaded && hasFiles(named)) {
    await replaced(named, (file, field) => refuseUnfit(file, field, page.uploadBytesMax));
    const readBalance = () => page.wallet.read();
    await refuseUnpaid(connection, readBalance, tool, named, maxCredits);
  }
  signal.throwIfAborted();
  const input = uploaded ?? (await uploadAll(job, named));
  job.set({ input, progress: 1 });
  signal.throwIfAborted();
  job.ordered = true;
  const limit = maxCredits !== null && { maxCredits };
  const { idField, sessionField } = endpoints;
  const names = { [idField]: job.id, [sessionField]: page.place.sessionId };
  // The order has the job's id, so a retry after a lost answer does not charge a second time.
  const ordered = patiently(() =>
    connection.call(endpoints.order, { ...input, ...limit, ...names }).catch((error) => {
      if (isPassing(error)) job.lost = error;
      throw error;
    }),
  );
  const answer = await ordered.catch((error) => {
    // An order without an answer may have arrived, even if a retry of it was refused or the job was
    // cancelled here. Then the job exists.
    if (!job.lost) throw error;
    if (!isPassing(error)) job.refusal = error;
  });
  if (answer) {
    job.lost = null;
    job.apply(changeBy(answer, job.update));
  }
  await job.follow();
}

/**
 * Uploads every file of the input to a path that contains the job's id. Returns the input with URLs
 * in place of the files.
 */
async function uploadAll(job: Follower, input: Record<string, any>): Promise<Record<string, any>> {
  const { connection, pollMs: pauseMs } = job.page;
  /** The number of bytes that have arrived, for each file. */
  const arrived = new Map<Blob, number>();
  return replaced(input, (file) => {
    arrived.set(file, 0);
    const path = `${job.user}/${job.id}/${uuid()}${extension(file)}`;
    const onProgress = (bytes: number) => {
      arrived.set(file, bytes);
      job.set({ progress: share(arrived) });
    };
    return upload({ connection, file, path, pauseMs, onProgress, signal: job.abort.signal });
  });
}

/** The share of all bytes that has arrived, 0 to 1. */
function share(arrived: Map<Blob, number>): number {
  let [bytes, total] = [0, 0];
  for (const [file, part] of arrived) [bytes, total] = [bytes + part, total + file.size];
  return bytes / (total || 1);
}
