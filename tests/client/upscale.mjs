// The happy path of a page: sign in, upload, order, poll, look at the result and at the own row.

import { picture } from "./picture.mjs";
import { client, finished, good, signIn, size, upload } from "./stack.mjs";

const supabase = client();
const user = await signIn(supabase, "user1@example.com");
const jobId = crypto.randomUUID();
const imageUrl = await upload(supabase, user, jobId, picture());

const order = () =>
  supabase.functions.invoke("runninghub-upscaler/run", { body: { jobId, imageUrl } });
const run = good(await order(), "run");
const replay = good(await order(), "the same again");

const last = await finished(supabase, "runninghub-upscaler", jobId);
const result = await fetch(last.outputUrl);
const shown = { type: result.headers.get("content-type"), ...size(await result.arrayBuffer()) };
const row = good(
  await supabase.from("upscaler_jobs").select("*").eq("id", jobId).single(),
  "own row",
);

const another = client();
await signIn(another, "user2@example.com");
const rowsOfAnother = good(
  await another.from("upscaler_jobs").select("*").eq("id", jobId),
  "another's view",
);

console.log(JSON.stringify({ run, replay, last, picture: shown, row, rowsOfAnother }));
