// The supported ways to reach the functions where the project and the gateway are apart, and the
// one where they are not.

import { FunctionsClient } from "@supabase/functions-js";
import { createClient } from "@supabase/supabase-js";
import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, given, good, signIn, stack } from "./stack.mjs";

const functionsUrl = `${given.gateway}/functions/v1`;
const input = () => ({ file: new File([picture()], "in.png", { type: "image/png" }) });
const run = async (jobs) => {
  const { state, outputUrl } = await jobs.run("runninghub-upscaler", input()).result;
  return { state, isPicture: (await fetch(outputUrl)).headers.get("content-type") };
};

// Two addresses.
const project = client();
const functions = new FunctionsClient(functionsUrl, { headers: { apikey: stack.anonKey } });
project.auth.onAuthStateChange((_event, session) => {
  functions.setAuth(session?.access_token ?? stack.anonKey);
});
const ask = () => functions.invoke("runninghub-queue-manager/check-user-active", { body: {} });
const signedOut = await ask();
await signIn(project, "user1@example.com");
const checked = good(await ask(), "check-user-active");
const two = await run(createJobs(project, { functionsUrl, pollMs: 50 }));

// One.
const whole = createClient(given.gateway, stack.anonKey, {
  auth: { persistSession: false, autoRefreshToken: false },
});
await signIn(whole, "user1@example.com");
const one = await run(createJobs(whole, { pollMs: 50 }));

console.log(
  JSON.stringify({
    signedOut: signedOut.error.context.status,
    checked: checked.hasActiveJob === false,
    two,
    one,
  }),
);
process.exit(0);
