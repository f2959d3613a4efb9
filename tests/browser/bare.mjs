// A page with the client and nothing else, as an app has it.

import { open, passwordOf, stack } from "./tab.mjs";

/** Signs in on a page of that origin; there `jobs` and `supabase` can be had. */
export async function openBare(origin, email, options = {}) {
  const tab = await open(`${origin}/config.json`, { visits: [origin] });
  const password = passwordOf(email);
  const given = { url: origin, key: stack.anonKey, email, password, options };
  await tab.evaluate(async ({ url, key, email, password, options }) => {
    const { createClient } = await import("/build/supabase.js");
    const { createJobs } = await import("/client.js");
    const supabase = createClient(url, key);
    const { error } = await supabase.auth.signInWithPassword({ email, password });
    if (error) throw error;
    Object.assign(globalThis, { supabase, jobs: createJobs(supabase, options) });
  }, given);
  return tab;
}
