// The jobs of this page, by the client that any app uses.

import { createJobs } from "../client.js";
import { buyUrl, functionsUrl, supabase } from "../project.js";

export const jobs = createJobs(supabase, { functionsUrl, buyUrl });
