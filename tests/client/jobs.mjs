// web/client.js from a file to the result, with somebody before us in the queue.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, endAsAdmin, finish, given, signIn, size } from "./stack.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, { pollMs: 50, pollMaxMs: 200 });
const job = jobs.run("runninghub-upscaler", {
  file: new File([picture()], "in.png", { type: "image/png" }),
  resolution: 1024,
});
const states = new Set();
let position = null;
job.subscribe((update) => {
  if (update.state === "running" && !states.has("running")) finish(job.id);
  states.add(update.state);
  if (position === null && update.position) endAsAdmin(given.before);
  position ??= update.position;
});
const result = await job.result;
const { width, height } = size(await (await fetch(result.outputUrl)).arrayBuffer());
console.log(
  JSON.stringify({
    id: job.id,
    states: [...states],
    position,
    result,
    size: [width, height],
    creditsCharged: result.creditsCharged,
  }),
);
