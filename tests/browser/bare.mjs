// A page with the client and nothing else, as an app has it.

import { open, passwordOf, stack } from "./tab.mjs";

/** Opens a page of that origin, signs in there, and puts `jobs` and `supabase` into its globals. */
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
