// Uploads a video of 200 MB while the connection breaks off. Storage keeps what has arrived, and
// the client sends only the rest.

import { openBare } from "./bare.mjs";
import { given, tell } from "./tab.mjs";

const MB = 1024 * 1024;
const tab = await openBare(given.url, "user1@example.com", { maxUploadBytes: 512 * MB });
const seen = await tab.evaluate(
  async ({ head, size }) => {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 4096) bytes[at] = at / 4096;
    bytes.set(Uint8Array.from(atob(head), (letter) => letter.charCodeAt(0)));
    const file = new File([bytes], "long.mp4", { type: "video/mp4" });
    const job = globalThis.jobs.run("runninghub-video-upscaler", { file });
    let [last, backwards, updates] = [0, 0, 0];
    job.subscribe(({ progress }) => {
      updates += 1;
      // An interrupted chunk is sent again, so the progress may go back by one chunk.
      backwards = Math.max(backwards, last - progress);
      last = progress;
    });
    const outcome = await job.result.then(
      () => "done",
      ({ code, message }) => `${code}: ${message}`,
    );
    const address = job.update.input.videoUrl;
    const stored = typeof address === "string" ? await (await fetch(address)).arrayBuffer() : bytes;
    const hash = async (data) =>
      btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", data))));
    const isWhole = stored !== bytes && (await hash(stored)) === (await hash(bytes));
    return { outcome, progress: last, backwards, updates, isWhole };
  },
  { head: given.clip, size: 200 * MB },
);
await tell(seen);
