// The project behind the pages: its client, its functions, who is signed in.

import { createClient } from "./build/supabase.js";
import { button, h, icon } from "./elements.js";
import { t } from "./words.js";

export const functionsUrl = `${location.origin}/functions/v1`;

/** How long the settings may take. */
const PATIENCE_MS = 5000;

/** What a link in a mail brought: its `type`, or the `error_code` of one that is too old. */
export const arrival = new URLSearchParams(location.hash.slice(1));

const settings = await settingsAtLast();
/** The page that sells credits in place of our checkout, if there is one. */
export const buyUrl = settings.buyUrl ?? null;
/** Where the operator reads the logs of the job `{jobId}`, if that is known. */
export const logsUrl = settings.logsUrl ?? null;
export const supabase = createClient(settings.supabaseUrl, settings.supabaseKey, {
  db: { schema: "unstuck" },
});

/** The settings of the pages; where they cannot be had, says so and tries when it is asked to. */
async function settingsAtLast() {
  for (;;) {
    try {
      const response = await fetch("/config.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
      const { supabaseUrl, supabaseKey, ...rest } = await response.json();
      if (supabaseUrl && supabaseKey) return { supabaseUrl, supabaseKey, ...rest };
    } catch {
      // Said below, as an answer without settings is.
    }
    await new Promise((resolve) => {
      const retry = button([icon("retry", 18), t("retry")], resolve, "primary");
      const words = [h("h2", {}, t("unreachable")), h("p", {}, t("unreachable_text"))];
      const box = h("div", { class: "panel", role: "alert" }, icon("alert", 32), words, retry);
      const place = h("main", { class: "notice" }, h("h1", { class: "sr" }, "Unstuck"), box);
      document.getElementById("root").replaceChildren(place);
    });
  }
}

/** Calls a function as the signed-in user: by POST where there is a body, otherwise by GET. */
export async function ask(path, body, headers = {}) {
  const { data } = await supabase.auth.getSession();
  const response = await fetch(`${functionsUrl}/${path}`, {
    method: body ? "POST" : "GET",
    headers: {
      authorization: `Bearer ${data.session?.access_token}`,
      apikey: supabase.supabaseKey,
      "content-type": "application/json",
      ...headers,
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
