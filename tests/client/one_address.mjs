// An app that knows one address: sign-in, its rows, uploads whole and in chunks, a function, and
// Realtime through an order. Prints what it saw, without ids and addresses.

import { createHash } from "node:crypto";
import { createClient } from "@supabase/supabase-js";
import { picture } from "./picture.mjs";
import { finish, given, good, signIn, stack, until } from "./stack.mjs";

const CHUNK = 6 * 1024 * 1024;
const { url } = given;
const supabase = createClient(url, stack.anonKey, {
  auth: { persistSession: false, autoRefreshToken: false },
});
const user = await signIn(supabase, "user1@example.com");
const token = (await supabase.auth.getSession()).data.session.access_token;
const bucket = supabase.storage.from("uploads");
const here = (text) => text.startsWith(`${url}/`);
const hash = (bytes) => createHash("sha256").update(new Uint8Array(bytes)).digest("hex");

// Its own rows, and nobody else's.
const tools = good(
  await supabase.schema("unstuck").from("tools").select("tool").order("tool").limit(3),
  "tools",
);
const wrong = await supabase.auth.signInWithPassword({ email: user.email, password: "wrong" });
const rows = await supabase.schema("unstuck").from("jobs").select("id", { count: "exact" });
const unknown = await supabase.schema("unstuck").from("no_such_table").select();

// 50 MB, whole.
const large = Buffer.alloc(50 * 1024 * 1024, 7);
picture().forEach((byte, at) => (large[at] = byte));
const whole = `${user.id}/${crypto.randomUUID()}/whole.png`;
const signed = good(await bucket.createSignedUploadUrl(whole), "createSignedUploadUrl");
good(
  await bucket.uploadToSignedUrl(whole, signed.token, new Blob([large], { type: "image/png" })),
  "uploadToSignedUrl",
);
const publicUrl = bucket.getPublicUrl(whole).data.publicUrl;
const wholeRead = await (await fetch(publicUrl)).arrayBuffer();

// 50 MB in chunks, with a token of the user and one of a signed upload; one chunk comes twice.
const encoded = (text) => Buffer.from(text).toString("base64");
async function inChunks(way, name, proof) {
  const headers = { ...proof, apikey: stack.anonKey, "tus-resumable": "1.0.0" };
  const fields = { bucketName: "uploads", objectName: name, contentType: "image/png" };
  const metadata = Object.entries(fields).map(([key, value]) => `${key} ${encoded(value)}`);
  const begun = await fetch(`${url}/storage/v1/upload/resumable${way}`, {
    method: "POST",
    headers: {
      ...headers,
      "upload-length": `${large.length}`,
      "upload-metadata": metadata.join(","),
    },
  });
  const location = begun.headers.get("location") ?? "";
  const send = (offset) =>
    fetch(location, {
      method: "PATCH",
      headers: {
        ...headers,
        "upload-offset": `${offset}`,
        "content-type": "application/offset+octet-stream",
      },
      body: large.subarray(offset, offset + CHUNK),
    });
  const statuses = [begun.status, (await send(0)).status, (await send(0)).status];
  const head = await fetch(location, { method: "HEAD", headers });
  let offset = Number(head.headers.get("upload-offset"));
  const resumedAt = offset;
  while (offset < large.length) {
    const answer = await send(offset);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    offset = Number(answer.headers.get("upload-offset"));
  }
  const read = await fetch(bucket.getPublicUrl(name).data.publicUrl);
  const isWhole = hash(await read.arrayBuffer()) === hash(large);
  return { leadsHere: here(location), statuses, resumedAt, isWhole };
}
const byUser = await inChunks("", `${user.id}/${crypto.randomUUID()}/user.png`, {
  authorization: `Bearer ${token}`,
});
const later = `${user.id}/${crypto.randomUUID()}/signed.png`;
const laterToken = good(await bucket.createSignedUploadUrl(later), "createSignedUploadUrl").token;
const bySignature = await inChunks("/sign", later, { "x-signature": laterToken });

// Realtime through an order.
const changes = [];
let subscribed;
const told = new Promise((resolve) => (subscribed = resolve));
const channel = supabase
  .channel("my jobs")
  .on(
    "postgres_changes",
    { event: "*", schema: "unstuck", table: "jobs", filter: `user_id=eq.${user.id}` },
    (change) => changes.push(change),
  )
  .on("system", {}, (message) => {
    if (message.extension === "postgres_changes") subscribed(message.message);
  })
  .subscribe();
const system = await told;
const jobId = crypto.randomUUID();
const input = `${user.id}/${jobId}/in.png`;
const inputToken = good(await bucket.createSignedUploadUrl(input), "createSignedUploadUrl").token;
const image = new Blob([picture()], { type: "image/png" });
good(await bucket.uploadToSignedUrl(input, inputToken, image), "uploadToSignedUrl");
const ordered = good(
  await supabase.functions.invoke("runninghub-upscaler/run", {
    body: { jobId, imageUrl: bucket.getPublicUrl(input).data.publicUrl },
  }),
  "run",
);
await finish(jobId);
const last = () => changes.filter(({ new: row }) => row.id === jobId).at(-1)?.new;
await until("the end is told", () => last()?.status === "completed");
const left = await supabase.removeChannel(channel);
const own = good(
  await supabase.schema("unstuck").from("jobs").select("status").eq("id", jobId).single(),
  "its own row",
);
good(await supabase.auth.signOut({ scope: "local" }), "signOut");

console.log(
  JSON.stringify({
    tools,
    wrong: `${wrong.error.status} ${wrong.error.code}`,
    rows: rows.count,
    unknown: `${unknown.status} ${unknown.error.code}`,
    whole: {
      signedLeadsHere: here(signed.signedUrl),
      publicLeadsHere: here(publicUrl),
      isWhole: hash(wholeRead) === hash(large),
    },
    byUser,
    bySignature,
    system,
    ordered: { success: ordered.success, creditsCharged: ordered.creditsCharged },
    first: changes[0].eventType,
    statuses: [...new Set(changes.map((change) => change.new.status))].filter(
      (status) => !["queued", "starting"].includes(status),
    ),
    strangers: changes.filter(({ new: row }) => row.user_id !== user.id).length,
    own,
    left,
  }),
);
process.exit(0);
