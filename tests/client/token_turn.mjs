// The user's token is refused while another one is already to be had, as when it turns: the call
// is made anew with that one, and ordered once.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn, until } from "./stack.mjs";
import { answerInstead, errorOf, real, requests } from "./watched.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
// Two tokens of one second are the same.
const second = () => Math.floor(Date.now() / 1000);
const signedInAt = second();
await until("another second", () => second() > signedInAt);
const jobs = createJobs(supabase, { pollMs: 50, pollMaxMs: 200 });
const input = { file: new File([picture()], "in.png", { type: "image/png" }) };
const orders = [];

/** The functions get the first `times` orders with a broken token. */
function refuse(times) {
  let left = times;
  answerInstead(async (path, request) => {
    if (!path.endsWith("/run")) return null;
    const token = request.headers.get("authorization");
    orders.push({ jobId: (await request.clone().json()).jobId, token });
    if (left-- <= 0) return null;
    const broken = new Request(request.clone());
    broken.headers.set("authorization", `${token}over`);
    return real(broken);
  });
}

refuse(1);
const job = jobs.run("runninghub-upscaler", input);
const turned = await errorOf(job);
const [first, anew, ...more] = orders.splice(0);
refuse(Infinity);
const refused = await errorOf(jobs.run("runninghub-upscaler", input));
console.log(
  JSON.stringify({
    turned,
    state: job.update.state,
    sameJob: first.jobId === job.id && anew.jobId === job.id,
    newToken: first.token !== anew.token,
    more: more.length,
    refused: refused.code,
    tries: orders.length,
    renewals: requests.filter(({ path }) => path.endsWith("/token")).length,
  }),
);
process.exit(0);
