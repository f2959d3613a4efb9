// Runs web/client.js where answers are lost: a browser drops requests when its user switches apps,
// and the server has them.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn, stack } from "./stack.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, {
  functionsUrl: `${stack.url}/functions/v1/`,
  pollMs: 50,
  pollMaxMs: 200,
});
const real = globalThis.fetch;
// Some systems know no type of a file.
const input = { file: new File([picture()], "in.png", { type: "" }) };

/** Runs an upscale; `broken` decides what becomes of each order. */
async function run(broken) {
  globalThis.fetch = (url, options) =>
    `${url.url ?? url}`.endsWith("/runninghub-upscaler/run")
      ? broken(url, options)
      : real(url, options);
  const job = jobs.run("runninghub-upscaler", input);
  const error = await job.result.then(
    () => null,
    (reason) => reason,
  );
  return { id: job.id, state: job.update.state, code: error?.code ?? null };
}

const answerLost = await run(async (url, options) => {
  await real(url, options);
  throw new TypeError("Load failed");
});
const orderLost = await run(() => {
  throw new TypeError("Load failed");
});
const pressedAnew = await run(real);
const empty = jobs.run("runninghub-upscaler", { file: new File([], "in.png") });
const refused = await empty.result.catch((error) => error);

console.log(
  JSON.stringify({
    answerLost,
    orderLost,
    pressedAnew,
    empty: `${refused.code}: ${refused.message}`,
  }),
);
process.exit(0);
