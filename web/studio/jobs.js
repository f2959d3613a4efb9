// The page's instance of the client, made as any app makes one.

import { createJobs } from "../client.js";
import { bucket, buyUrl, functionsUrl, supabase } from "../project.js";

export const jobs = createJobs(supabase, { functionsUrl, bucket, buyUrl });
