// Acts as an older page: writes its own row, uploads, then orders the job; and tries everything
// that such a page may not do.

import { picture } from "./picture.mjs";
import { client, ended, good, signIn, stack, upload } from "./stack.mjs";

const TABLES = ["upscaler_jobs", "video_upscaler_jobs", "pose_changer_jobs", "veste_ai_jobs"];
const ALL = [
  ...TABLES,
  "generation_jobs",
  "generation_tasks",
  "replicate_tasks",
  "generation_history",
  "jobs",
  "job_steps",
];

const supabase = client();
const user = await signIn(supabase, "user1@example.com");
const victim = stack.users.find(({ email }) => email === "user2@example.com");
const denied = ({ error }) => error?.code ?? "allowed";

// Its own row, with everything that it should not be believed.
const id = crypto.randomUUID();
const row = {
  id,
  user_id: user.id,
  session_id: "an old page",
  status: "queued",
  input_file_name: "in.png",
};
const forged = {
  user_credit_cost: 0,
  output_url: "https://evil.invalid/x",
  task_id: "1",
  position: 1,
  waited_in_queue: true,
};
const times = Object.fromEntries(
  ["created_at", "queued_at", "started_at", "completed_at", "updated_at"].map((name) => [
    name,
    "2020-01-01T00:00:00Z",
  ]),
);
const inserted = good(
  await supabase
    .from("upscaler_jobs")
    .insert({ ...row, ...forged, ...times })
    .select()
    .single(),
  "its own row",
);
const updated = good(
  await supabase
    .from("upscaler_jobs")
    .update({ status: "completed", ...forged })
    .eq("id", id)
    .select(),
  "no update",
);

// In the name of another, in tables that are not for it, a thousand at once, one of another's.
const forAnother = denied(
  await supabase.from("upscaler_jobs").insert({ user_id: victim.id, status: "queued" }),
);
const intoAnyTable = {};
for (const table of ALL)
  intoAnyTable[table] = denied(
    await supabase.from(table).insert({ user_id: user.id, status: "queued" }),
  );
const {
  data: { session },
} = await supabase.auth.getSession();
const answer = await fetch(`${stack.url}/rest/v1/veste_ai_jobs`, {
  method: "POST",
  headers: {
    apikey: stack.anonKey,
    authorization: `Bearer ${session.access_token}`,
    "content-type": "application/json",
  },
  body: JSON.stringify(Array.from({ length: 1000 }, () => ({ status: "queued" }))),
});
const thousand = { status: answer.status, ...(await answer.json()) };
let onebyone = 0;
while (!(await supabase.from("veste_ai_jobs").insert({ status: "queued" })).error && onebyone < 100)
  onebyone += 1;
const closed = good(
  await supabase
    .from("veste_ai_jobs")
    .update({ status: "failed" })
    .eq("status", "queued")
    .select("status"),
  "its own waiting rows",
);
const removed = denied(await supabase.from("upscaler_jobs").delete().eq("id", id));

const another = client();
await signIn(another, victim.email);
const taken = denied(await another.from("upscaler_jobs").insert({ id, status: "queued" }));
const seenByAnother = good(
  await another.from("upscaler_jobs").update({ status: "cancelled" }).eq("id", id).select(),
  "another's row",
);
const imageOfAnother = await upload(another, { id: victim.id }, id, picture());
const adopted = await another.functions.invoke("runninghub-upscaler/run", {
  body: { jobId: id, imageUrl: imageOfAnother },
});
const adoption = await adopted.error.context.json();

// What it was made for: the upload took its time, `run` takes the row up.
const imageUrl = await upload(supabase, user, id, picture());
const run = good(
  await supabase.functions.invoke("runninghub-upscaler/run", { body: { jobId: id, imageUrl } }),
  "run",
);
const last = await ended(() => supabase.from("upscaler_jobs").select("*").eq("id", id).single());

console.log(
  JSON.stringify({
    inserted,
    updated,
    forAnother,
    intoAnyTable,
    thousand,
    onebyone,
    ended: closed,
    removed,
    taken,
    seenByAnother,
    adoption,
    run,
    last,
    imageUrl,
  }),
);
