export type * from "./contract.js";
export type * from "./types.js";
export { JobError, type ClientErrorCode, type JobErrorName } from "./errors.js";

import type { Jobs, Options, SupabaseClient } from "./types.js";

export declare function createJobs(supabase: SupabaseClient, options?: Options): Jobs;
