// Changes are told by Realtime long before the next query; where the channel is closed, queries
// are made as often as ever.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, finish, signIn, until } from "./stack.mjs";
import { count, reached, requests } from "./watched.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const input = { file: new File([picture()], "in.png", { type: "image/png" }) };
const joined = () => supabase.realtime.channels.some(({ state }) => state === "joined");

// Nothing but what is told can end this in time.
const hour = 3_600_000;
const seldom = createJobs(supabase, { pollMs: hour, pollMaxMs: hour });
const job = seldom.run("runninghub-upscaler", input);
await reached(job, "running");
await until("the channel is joined", joined);
await finish(job.id);
const { state, outputUrl } = await job.result;
await until("the channel is left", () => !joined());
seldom.dispose();

const often = createJobs(supabase, { pollMs: 50, pollMaxMs: 100 });
const second = often.run("runninghub-upscaler", input);
await reached(second, "running");
await until("the channel is joined", joined);
await until("a look while it is joined", () => count("queue-status") > 3);
await supabase.removeAllChannels();
const from = requests.length;
const looks = () => requests.slice(from).filter(({ path }) => path.includes("queue-status"));
await until("five looks", () => looks().length >= 5);
await finish(second.id);
const untold = (await second.result).state;
console.log(JSON.stringify({ state, hasUrl: Boolean(outputUrl), untold }));
process.exit(0);
