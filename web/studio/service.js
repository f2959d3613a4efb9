// What the studio asks the functions and the tables about earlier jobs, as the signed-in user.

import { endpoints } from "../client.js";
import { ask, functionsUrl, supabase } from "../project.js";

/** The answer of a function; throws its refusal. */
async function told(path) {
  const { ok, answer } = await ask(path);
  if (!ok) throw answer;
  return answer;
}

/** A page of the user's jobs, newest first: `{ jobs, next }`. */
export function list({ cursor, status, limit }) {
  const given = Object.entries({ cursor, status, limit }).filter(([, value]) => value);
  return told(`jobs?${new URLSearchParams(given)}`);
}

export const job = (id) => told(`jobs/${id}`);

/** What was ordered and what it cost, by the job's id. */
export async function details(ids) {
  if (ids.length === 0) return new Map();
  const [inputs, receipts] = await Promise.all([
    rows(supabase.from("jobs").select("id, input, total_steps").in("id", ids)),
    rows(supabase.from("job_receipts").select("id:job_id, entries").in("job_id", ids)),
  ]);
  const entries = new Map(receipts.map((receipt) => [receipt.id, receipt.entries]));
  return new Map(inputs.map((row) => [row.id, { ...row, entries: entries.get(row.id) }]));
}

async function rows(query) {
  const { data, error } = await query;
  if (error) throw error;
  return data;
}

/** The path of the function that shows a job in its tool's own words. */
async function path(tool, id) {
  const [family] = await rows(supabase.from("tools").select("table_name").eq("tool", tool));
  return endpoints(tool, family?.table_name).status + id;
}

/** What only the tool's own function shows of a done job: its cards or files. */
export const answer = async (tool, id) => told(await path(tool, id));

/** The files of a website as one archive. */
export async function archive(tool, id) {
  const { data } = await supabase.auth.getSession();
  const headers = {
    authorization: `Bearer ${data.session?.access_token}`,
    apikey: supabase.supabaseKey,
  };
  const address = `${functionsUrl}/${await path(tool, id)}&format=zip`;
  const response = await fetch(address, { headers });
  if (!response.ok) throw await response.json();
  return response.blob();
}

/** The bytes of a result. */
export async function file(url) {
  const response = await fetch(url);
  if (!response.ok) throw { code: "not_found" };
  return response.blob();
}
