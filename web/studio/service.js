// What the studio reads of earlier jobs from tables and storage, in addition to the client.

import { supabase } from "../project.js";

/** The input and the receipt of each job, by its id. */
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

/** The content of a result's file. */
export async function file(url) {
  const response = await fetch(url);
  if (!response.ok) throw { code: "not_found" };
  return response.blob();
}
