// The app's project: its Supabase client, its settings, calls of its functions, and the user's
// session.

import { createClient } from "./build/supabase.js";
import { button, h, icon } from "./elements.js";
import { t } from "./words.js";

export const functionsUrl = `${location.origin}/functions/v1`;

/** The deadline of a request for the settings. */
const PATIENCE_MS = 5000;

/**
 * The fragment that a link in a mail has added: its `type`, or an `error_code` if it has expired.
 */
export const arrival = new URLSearchParams(location.hash.slice(1));

const settings = await settingsAtLast();
/** The shop page that replaces our checkout, if there is one. */
export const buyUrl = settings.buyUrl ?? null;
/** The bucket of uploads. */
export const bucket = settings.uploadsBucket;
/** The URL of a job's logs, with `{jobId}` in it, if the operator has set one. */
export const logsUrl = settings.logsUrl ?? null;
export const supabase = createClient(settings.supabaseUrl, settings.supabaseKey, {
  db: { schema: "unstuck" },
});

/** Reads the settings of the pages. If that fails, shows a message with a button that retries. */
async function settingsAtLast() {
  for (;;) {
    try {
      const response = await fetch("/config.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
      const { supabaseUrl, supabaseKey, ...rest } = await response.json();
      if (supabaseUrl && supabaseKey) return { supabaseUrl, supabaseKey, ...rest };
    } catch {
      // A failed request is handled below, like an answer without settings.
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

/** Calls a function as the signed-in user: with POST if there is a body, else with GET. */
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

/**
 * Whether to show the admin page; an app's own `has_role` decides where there is one. The functions
 * and the database decide by themselves what an admin may do.
 */
export async function isAdmin(user) {
  const asked = { _user_id: user.id, _role: "admin" };
  const { data, error } = await supabase.rpc("has_role", asked);
  if (error) throw error;
  return data === true;
}

export async function signOut() {
  await supabase.auth.signOut({ scope: "local" });
  location.reload();
}
