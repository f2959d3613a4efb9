// Runs web/client.js when things go wrong: nobody is signed in, a provider fails, the input is bad,
// a job is cancelled, a page comes back.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, script, signIn, stack } from "./stack.mjs";

const supabase = client();
const jobs = createJobs(supabase, {
  functionsUrl: `${stack.url}/functions/v1/`,
  pollMs: 50,
  pollMaxMs: 200,
});
const file = () => new File([picture()], "in.png", { type: "image/png" });
const ended = async (job) => {
  const error = await job.result.then(
    () => null,
    (reason) => reason,
  );
  const { id, state, creditsRefunded } = job.update;
  return {
    id,
    state,
    creditsRefunded,
    name: error?.name,
    code: error?.code,
    status: error?.status,
    message: error?.message,
  };
};

const signedOut = await ended(jobs.run("runninghub-upscaler", { file: file() }));
await signIn(supabase, "user1@example.com");
const failed = await ended(jobs.run("runninghub-upscaler", { file: file() }));
const invalid = await ended(jobs.run("runninghub-upscaler", { file: file(), resolution: 1 }));

const given = jobs.run("runninghub-upscaler", { file: file() });
await given.cancel();
const cancelled = await ended(given);

await script({ reset: true });
await script({ runninghub: { all: true, hang: true } });
const hanging = jobs.run("runninghub-upscaler", { file: file() });
await new Promise((resolve) =>
  hanging.subscribe(({ state }) => state !== "uploading" && resolve()),
);
const noMoreRunning = await hanging.cancel().then(
  () => ({}),
  ({ code, status }) => ({ code, status }),
);
// The same user's page after a reload.
const found = await createJobs(supabase, { functionsUrl: `${stack.url}/functions/v1` }).resume();

console.log(
  JSON.stringify({
    signedOut,
    failed,
    invalid,
    cancelled,
    noMoreRunning,
    resumed: found.length,
    sameId: found[0]?.id === hanging.id,
  }),
);
process.exit(0);
