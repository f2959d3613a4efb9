// A component that mounts twice: everything is called twice, and one job is followed once. Then the
// page lets go of it.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, finish, signIn, until } from "./stack.mjs";
import { count, errorOf, reached, requests } from "./watched.mjs";

const POLL = 200;
const supabase = client();
await signIn(supabase, "user1@example.com");
const options = { realtime: false, pollMs: POLL, pollMaxMs: POLL };
const ordering = createJobs(supabase, options);
const input = { file: new File([picture()], "in.png", { type: "image/png" }) };
const ordered = ordering.run("runninghub-upscaler", input);
await reached(ordered, "running");
const left = errorOf(ordered);
ordering.dispose();

const jobs = createJobs(supabase, options);
let told = 0;
jobs.subscribe(() => (told += 1));
const [[first], [second]] = await Promise.all([jobs.resume(), jobs.resume()]);
const named = await Promise.all([jobs.job(ordered.id), jobs.job(ordered.id)]);
const [again] = await jobs.resume();
const same = [second, ...named, again].every((job) => job === first);
const listed = jobs.list();
const stable = listed === jobs.list();
const from = requests.length;
const looks = () => requests.slice(from).filter(({ path }) => path.includes("queue-status"));
await until("five looks", () => looks().length >= 5);
const gaps = looks().map(({ at }, n, all) => (n ? at - all[n - 1].at : Infinity));
const before = { list: listed.map(({ id }) => id), told: told > 0 };

const gone = errorOf(first);
jobs.dispose();
const after = count("queue-status");
await new Promise((resolve) => setTimeout(resolve, 6 * POLL));
const byTheDisposed = count("queue-status") - after;
await finish(ordered.id);
const another = createJobs(supabase, options);
const { state } = await (await another.job(ordered.id)).result;
// It may be used anew.
const found = await jobs.job(ordered.id);
const unknown = await jobs.job(crypto.randomUUID()).catch(({ code }) => code);
const { outputs, createdAt, startedAt, completedAt, elapsedMs } = found.update;
console.log(
  JSON.stringify({
    id: ordered.id,
    left: (await left).code,
    same,
    stable,
    shortestGap: Math.min(...gaps),
    before,
    gone: (await gone).code,
    state,
    byTheDisposed,
    found: {
      state: found.update.state,
      outputs,
      isInOrder: createdAt <= startedAt && startedAt <= completedAt,
      took: elapsedMs === Date.parse(completedAt) - Date.parse(startedAt),
    },
    unknown,
  }),
);
process.exit(0);
