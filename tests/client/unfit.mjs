// Files that cannot be used: what the user is told, and what was sent.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn } from "./stack.mjs";
import { count, errorOf } from "./watched.mjs";

const MB = 1024 * 1024;
const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, { pollMs: 50 });
const heic = Buffer.concat([Buffer.from("\0\0\0\x18ftypheic"), Buffer.alloc(1000)]);
const large = Buffer.concat([picture(), Buffer.alloc(60 * MB)]);
const png = (bytes, name = "in.png") => new File([bytes], name, { type: "image/png" });

const told = {};
for (const [what, tool, input] of [
  ["empty", "runninghub-upscaler", { file: png([]) }],
  ["text", "runninghub-upscaler", { file: png(["hello"]) }],
  ["heic", "runninghub-upscaler", { file: png(heic, "IMG_1.HEIC") }],
  ["large", "runninghub-upscaler", { file: png(large) }],
  ["picture", "runninghub-video-upscaler", { file: png(picture()) }],
  [
    "second",
    "runninghub-veste-ai",
    { personImageUrl: png(picture()), clothingImageUrl: png(["hello"]) },
  ],
])
  told[what] = await errorOf(jobs.run(tool, input));
const uploads = count("/storage/");

// An app that knows less of its storage than storage does.
const trusting = createJobs(supabase, { maxUploadBytes: 100 * MB, pollMs: 50 });
const byStorage = await errorOf(trusting.run("runninghub-upscaler", { file: png(large) }));
console.log(JSON.stringify({ told, uploads, byStorage }));
process.exit(0);
