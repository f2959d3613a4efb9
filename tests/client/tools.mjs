// Uses each tool as a page does: uploads its files, orders, polls, reads the result and its row.

import { readFile } from "node:fs/promises";
import { png } from "./picture.mjs";
import { client, finished, given, good, signIn, size, upload } from "./stack.mjs";

const supabase = client();
const user = await signIn(supabase, "user3@example.com");

async function use(tool, table, files) {
  const jobId = crypto.randomUUID();
  const body = { jobId, sessionId: crypto.randomUUID() };
  for (const [field, [bytes, name, type]] of Object.entries(files))
    body[field] = await upload(supabase, user, jobId, bytes, name, type);
  const run = good(await supabase.functions.invoke(`${tool}/run`, { body }), `${tool}/run`);
  const last = await finished(supabase, tool, jobId);
  const result = await fetch(last.outputUrl);
  const row = good(await supabase.from(table).select("*").eq("id", jobId).single(), table);
  return {
    body,
    run,
    last,
    row,
    type: result.headers.get("content-type"),
    bytes: await result.arrayBuffer(),
  };
}

const plain = (width, height, name) => [
  png(width, height, (x, y) => [x * 9, y * 9, 90]),
  name,
  "image/png",
];
const seen = {
  video: await use("runninghub-video-upscaler", "video_upscaler_jobs", {
    videoUrl: [await readFile(given.clip), "in.mp4", "video/mp4"],
  }),
  pose: await use("runninghub-pose-changer", "pose_changer_jobs", {
    personImageUrl: plain(12, 9, "person.png"),
    referenceImageUrl: plain(7, 7, "reference.png"),
  }),
  veste: await use("runninghub-veste-ai", "veste_ai_jobs", {
    personImageUrl: plain(10, 20, "person.png"),
    clothingImageUrl: plain(5, 5, "clothing.png"),
  }),
};
for (const one of Object.values(seen)) {
  if (one.type === "image/png") one.picture = size(one.bytes);
  one.bytes = Buffer.from(one.bytes).toString("base64");
}
console.log(JSON.stringify(seen));
