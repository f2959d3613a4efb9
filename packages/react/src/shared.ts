// What belongs to the user and the shop, not to one job.

import { useSyncExternalStore } from "react";
import type { Balance, Tool } from "@unstuck/client";
import { useStores } from "./provider.js";
import type { Loaded, SharedValue } from "./shared_value.js";

export type { Loaded } from "./shared_value.js";

function useShared<T>({ subscribe, read, readOnServer }: SharedValue<T>): Loaded<T> {
  return useSyncExternalStore(subscribe, read, readOnServer);
}

/** What the user has and owes, now and after every order, end and purchase; null until then. */
export function useBalance(): Balance | null {
  return useShared(useStores().balance).value;
}

/** What is on sale, with its prices; nobody needs to be signed in. */
export function useTools(): Loaded<Tool[]> {
  return useShared(useStores().tools);
}
