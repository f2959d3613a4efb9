// The app's one client, and with it its jobs. Both outlive every component.

import { createClient } from "@supabase/supabase-js";
import { createJobs } from "@unstuck/client";

export const supabase = createClient(
  import.meta.env.VITE_SUPABASE_URL,
  import.meta.env.VITE_SUPABASE_ANON_KEY,
);

export const jobs = createJobs(supabase);
