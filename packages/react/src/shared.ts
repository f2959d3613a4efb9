// Hooks for values of the user and the shop.

import { useSyncExternalStore } from "react";
import type { Balance, Tool } from "@unstuck/client";
import { useStores } from "./provider.js";
import type { Loaded, SharedValue } from "./shared_value.js";

export type { Loaded } from "./shared_value.js";

function useShared<T>({ subscribe, read, readOnServer }: SharedValue<T>): Loaded<T> {
  return useSyncExternalStore(subscribe, read, readOnServer);
}

/**
 * The user's balance and debt, updated after every order, end and purchase; null until they are
 * read.
 */
export function useBalance(): Balance | null {
  return useShared(useStores().balance).value;
}

/** The tools on sale with their prices; nobody needs to be signed in. */
export function useTools(): Loaded<Tool[]> {
  return useShared(useStores().tools);
}
