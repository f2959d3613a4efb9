"use client";

export { JobsProvider, useJobs, type JobsProviderProps } from "./provider.js";
export { useJob, useJobList, type FollowedJob } from "./jobs.js";
export { useBalance, useTools, type Loaded } from "./shared.js";
