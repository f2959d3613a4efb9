// What the studio asks of the tables and of storage about earlier jobs, beside what the client
// does.

import { supabase } from "../project.js";

/** What was ordered and what it cost, by the job's id. */
export async function details(ids) {
  if (ids.length === 0) return new Map();
  const [inputs, receipts] = await Promise.all([
    rows(supabase.from("jobs").select("id, input").in("id", ids)),
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

/** The bytes of a result. */
export async function file(url) {
  const response = await fetch(url);
  if (!response.ok) throw { code: "not_found" };
  return response.blob();
}
