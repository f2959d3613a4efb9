// Somebody signs out while a job runs, and somebody else signs in on the same page.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, finish, signIn } from "./stack.mjs";
import { errorOf, reached, requests } from "./watched.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, { pollMs: 50, pollMaxMs: 200 });
const input = { file: new File([picture()], "in.png", { type: "image/png" }) };
const job = jobs.run("runninghub-upscaler", input);
await reached(job, "running");
const balances = [];
jobs.onBalance(({ balance }) => balances.push(balance));
const error = errorOf(job);
await supabase.auth.signOut({ scope: "local" });
const settled = await error;
const { state } = job.update;
const list = jobs.list().length;

const from = requests.length;
await signIn(supabase, "user2@example.com");
const resumed = (await jobs.resume()).length;
const theirs = jobs.run("runninghub-upscaler", input);
await reached(theirs, "running");
await finish(theirs.id);
await theirs.result;
const asked = requests.slice(from).filter(({ path }) => path.includes(job.id)).length;

// The first user comes back: nothing was lost.
await supabase.auth.signOut({ scope: "local" });
await signIn(supabase, "user1@example.com");
const [found] = await jobs.resume();
await finish(job.id);
const back = await found.result;
console.log(
  JSON.stringify({
    settled,
    state,
    list,
    resumed,
    asked,
    balances,
    back: [back.id === job.id, back.state, back.creditsRefunded],
  }),
);
process.exit(0);
