// The same calls through one version of the library, with each public key.

import { given, good, refusal, signIn, stack } from "./stack.mjs";

const { createClient } = await import(given.library);
const seen = {};
for (const key of ["anonKey", "publishableKey"]) {
  const supabase = createClient(stack.url, stack[key], {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const signedOut = await refusal(
    await supabase.functions.invoke("runninghub-queue-manager/check", { body: {} }),
  );
  const user = await signIn(supabase, "user1@example.com");
  seen[key] = {
    user: user.email,
    signedOut: signedOut.status,
    check: good(await supabase.functions.invoke("runninghub-queue-manager/check"), "check"),
    region: good(
      await supabase.functions.invoke("runninghub-queue-manager/check", { region: "eu-central-1" }),
      "check in a region",
    ),
    refused: await refusal(
      await supabase.functions.invoke("runninghub-upscaler/run", {
        body: { imageUrl: "https://example.com/a.png" },
      }),
    ),
    balance: good(
      await supabase.schema("unstuck").from("credit_accounts").select("balance").single(),
      "balance",
    ).balance,
  };
}
console.log(JSON.stringify(seen));
