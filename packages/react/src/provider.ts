// Gives the app's client to all components below.

import { createContext, createElement, useContext, useMemo, type ReactNode } from "react";
import type { Balance, Jobs, Tool } from "@unstuck/client";
import { SharedValue } from "./shared_value.js";

/** What the hooks read: the client, and the values that several components show. */
interface JobsStores {
  jobs: Jobs;
  balance: SharedValue<Balance>;
  tools: SharedValue<Tool[]>;
}

const JobsContext = createContext<JobsStores | null>(null);

export interface JobsProviderProps {
  /**
   * The client. Make it once, outside of every component: `createJobs(supabase)`. The app owns it;
   * the provider never disposes of it.
   */
  jobs: Jobs;
  children?: ReactNode;
}

export function JobsProvider({ jobs, children }: JobsProviderProps): ReactNode {
  const stores = useMemo(
    () => ({
      jobs,
      balance: new SharedValue<Balance>((tell) => jobs.onBalance(tell)),
      tools: new SharedValue<Tool[]>((tell, fail) => {
        jobs.tools().then(tell, fail);
        return () => {};
      }),
    }),
    [jobs],
  );
  return createElement(JobsContext.Provider, { value: stores }, children);
}

export function useStores(): JobsStores {
  const stores = useContext(JobsContext);
  if (!stores) throw new Error("There is no <JobsProvider> above this component");
  return stores;
}

/** The client, with which a component orders, prices, lists and downloads. */
export function useJobs(): Jobs {
  return useStores().jobs;
}
