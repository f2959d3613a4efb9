// What the scripts of this folder share: the stack's addresses, a client, an upload. A script
// prints one JSON object; a test judges it.

import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@supabase/supabase-js";

const POLL_MS = 50;

export const stack = JSON.parse(process.env.STACK);
export const given = JSON.parse(process.env.GIVEN ?? "{}");

export const client = (key = stack.anonKey) =>
  createClient(stack.url, key, { auth: { persistSession: false, autoRefreshToken: false } });

/** What a call must not answer with an error. */
export function good({ data, error }, what) {
  if (error) throw new Error(`${what}: ${error.message}`, { cause: error });
  return data;
}

export async function signIn(supabase, email) {
  const { password } = stack.users.find((user) => user.email === email);
  return good(await supabase.auth.signInWithPassword({ email, password }), "sign-in").user;
}

/** Uploads under a path that holds the job's id, and tells the URL. */
export async function upload(supabase, user, jobId, bytes, name = "in.png", type = "image/png") {
  const bucket = supabase.storage.from("uploads");
  const path = `${user.id}/${jobId}/${name}`;
  const { token } = good(await bucket.createSignedUploadUrl(path), "createSignedUploadUrl");
  good(
    await bucket.uploadToSignedUrl(path, token, new Blob([bytes], { type })),
    "uploadToSignedUrl",
  );
  return bucket.getPublicUrl(path).data.publicUrl;
}

/** Polls until there is something. */
export async function until(what, look) {
  for (const end = Date.now() + stack.patienceMs; Date.now() < end; await pause(POLL_MS)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not within ${stack.patienceMs} ms: ${what}`);
}

/** What `look` says of a job once it neither waits nor runs. */
export const ended = (look) =>
  until("the job ends", async () => {
    const job = good(await look(), "a job's status");
    return !["queued", "running"].includes(job.status) && job;
  });

/** What `queue-status` says of a job once it has ended. */
export const finished = (supabase, tool, jobId) =>
  ended(() => supabase.functions.invoke(`${tool}/queue-status`, { body: { jobId } }));

const tellProviders = (path, body) =>
  fetch(`${stack.providersUrl}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** Tells the providers how to behave. */
export const script = (body) => tellProviders("__script", body);

/** Ends the provider's work on a job, once it has begun. */
export const finish = (jobId) =>
  until(
    `the provider works on ${jobId}`,
    async () => (await tellProviders("__finish", { match: jobId })).ok,
  );

/** The name, status and body of a refused call. */
export async function refusal({ data, error }) {
  if (!error) throw new Error(`not refused: ${JSON.stringify(data)}`);
  return { name: error.name, status: error.context.status, body: await error.context.json() };
}

/** Width and height of a PNG. */
export function size(bytes) {
  const view = new DataView(bytes);
  if (view.getUint32(0) !== 0x89504e47) throw new Error("not a PNG");
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Ends somebody's running job, so that its slot is free. */
export async function endAsAdmin(jobId) {
  const supabase = client();
  await signIn(supabase, "admin1@example.com");
  good(
    await supabase.functions.invoke("admin-cancel-job", {
      body: { table: "upscaler_jobs", jobId },
    }),
    "admin-cancel-job",
  );
}
