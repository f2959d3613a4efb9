// The user's token is refused while another one is already to be had, as when it turns: the call
// is made anew with that one, and ordered once.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn, stack } from "./stack.mjs";
import { answerInstead, errorOf, requests } from "./watched.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, { pollMs: 50, pollMaxMs: 200 });
const input = { file: new File([picture()], "in.png", { type: "image/png" }) };
const orders = [];
const over = (request) => {
  const headers = new Headers(request.headers);
  headers.set("authorization", `${headers.get("authorization")}over`);
  return new Request(request, { headers });
};

/** The functions refuse the first `times` tokens of an order. */
const refuse = (times) => {
  let left = times;
  answerInstead(async (path, request) => {
    if (!path.endsWith("/run")) return null;
    orders.push({
      jobId: (await request.clone().json()).jobId,
      token: request.headers.get("authorization"),
    });
    if (left-- <= 0) return null;
    const { url, method, headers } = over(request);
    const body = await request.clone().text();
    const answer = await import("node:http").then(
      ({ request: send }) =>
        new Promise((resolve) => {
          const sent = send(url, { method, headers: Object.fromEntries(headers) }, (response) => {
            response.resume();
            resolve(response.statusCode);
          });
          sent.end(body);
        }),
    );
    return new Response(`{"code":"unauthorized","message":"Sign in first"}`, { status: answer });
  });
};

refuse(1);
const job = jobs.run("runninghub-upscaler", input);
const turned = await errorOf(job);
const [first, second, ...more] = orders.splice(0);
refuse(Infinity);
const refused = await errorOf(jobs.run("runninghub-upscaler", input));
console.log(
  JSON.stringify({
    turned,
    state: job.update.state,
    sameJob: first.jobId === job.id && second.jobId === job.id,
    newToken: first.token !== second.token,
    more: more.length,
    refused: refused.code,
    tries: orders.length,
    renewals: requests.filter(({ path }) => path.endsWith("/token")).length,
    url: stack.url,
  }),
);
process.exit(0);
