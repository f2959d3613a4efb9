// What a page sees when it is refused; and a server with the service key.

import { picture } from "./picture.mjs";
import { client, good, refusal, signIn, stack, upload } from "./stack.mjs";

const supabase = client(stack.publishableKey);
const nobody = await supabase.functions.invoke("runninghub-queue-manager/check", { body: {} });
const signedOut = await refusal(nobody);

const user = await signIn(supabase, "user2@example.com");
const jobId = crypto.randomUUID();
const imageUrl = await upload(supabase, user, jobId, picture());
const poor = await refusal(
  await supabase.functions.invoke("runninghub-upscaler/run", { body: { jobId, imageUrl } }),
);
const unknown = await refusal(
  await supabase.functions.invoke("runninghub-upscaler/queue-status", { body: { jobId } }),
);

const elsewhere = await supabase.storage
  .from("uploads")
  .createSignedUploadUrl(`${stack.users[0].id}/${jobId}/in.png`);
const rich = await supabase
  .schema("unstuck")
  .from("credit_accounts")
  .update({ balance: 1_000_000 })
  .eq("user_id", user.id)
  .select();

const server = client(stack.serviceRoleKey);
const service = good(await server.functions.invoke("cleanup-stale-jobs", { body: {} }), "a sweep");

console.log(
  JSON.stringify({
    signedOut,
    poor,
    unknown,
    forbiddenUpload: Boolean(elsewhere.error),
    forbiddenWrite: Boolean(rich.error),
    service,
  }),
);
