// As much of Next and of what surrounds it as the page of docs/react.md uses.

declare const process: { env: Record<string, string | undefined> };

declare module "node:crypto" {
  export function randomUUID(): string;
}

declare module "next/headers" {
  export function cookies(): Promise<{ getAll(): { name: string; value: string }[] }>;
}

declare module "@supabase/ssr" {
  import type { SupabaseClient } from "@supabase/supabase-js";
  export function createBrowserClient(url: string, key: string): SupabaseClient;
  export function createServerClient(
    url: string,
    key: string,
    options: { cookies: { getAll(): { name: string; value: string }[] } },
  ): SupabaseClient;
}

declare module "*/session" {
  export function signedIn(): Promise<{ id: string } | null>;
}
