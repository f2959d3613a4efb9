// The project behind the pages: its client, its functions, who is signed in.

import { createClient } from "./build/supabase.js";

export const functionsUrl = `${location.origin}/functions/v1`;

const settings = await (await fetch("/config.json")).json();
/** The page that sells credits in place of our checkout, if there is one. */
export const buyUrl = settings.buyUrl ?? null;
/** Where the operator reads the logs of the job `{jobId}`, if that is known. */
export const logsUrl = settings.logsUrl ?? null;
export const supabase = createClient(settings.supabaseUrl, settings.supabaseKey, {
  db: { schema: "unstuck" },
});

/** Calls a function as the signed-in user: by POST where there is a body, otherwise by GET. */
export async function ask(path, body) {
  const { data } = await supabase.auth.getSession();
  const response = await fetch(`${functionsUrl}/${path}`, {
    method: body ? "POST" : "GET",
    headers: {
      authorization: `Bearer ${data.session?.access_token}`,
      apikey: supabase.supabaseKey,
      "content-type": "application/json",
    },
    body: body && JSON.stringify(body),
  });
  const noJson = { code: "internal", message: response.statusText };
  const answer = await response.json().catch(() => noJson);
  return { ok: response.ok, answer, retryAfter: Number(response.headers.get("retry-after")) || 0 };
}

/** Whether to show the admin page at all. The functions and the database decide what it may do. */
export async function isAdmin(user) {
  const { data, error } = await supabase
    .from("user_roles")
    .select("role")
    .eq("user_id", user.id)
    .eq("role", "admin");
  if (error) throw error;
  return data.length > 0;
}

export async function signOut() {
  await supabase.auth.signOut({ scope: "local" });
  location.reload();
}
