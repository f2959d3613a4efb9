// Measures pg-boss and the RPCs of Unstuck on one server, through the same driver with one
// connection each. `cargo xtask bench peers` calls it with a request as JSON and reads its answer.
//
// Either side gets its calls as plain parameterised queries, in turn, so that neither has a driver
// or a quieter moment of its own.

import { hash, randomUUID } from "node:crypto";
import pg from "pg";
import { PgBoss } from "pg-boss";

const QUEUE = "pictures";
const ORDER = {
  imageUrl: "https://files.invalid/uploads/in.png",
  resolution: 2048,
  app: "standard",
  nodes: [{ nodeId: "2", fieldName: "image", fieldValue: "https://files.invalid/uploads/in.png" }],
};
const RESULT = { files: [{ url: "https://results.invalid/0123456789abcdef", type: "png" }] };

/** pg-boss with its timers off: nothing but the measured calls runs. */
async function boss(connectionString) {
  const options = { connectionString, max: 1, supervise: false, schedule: false };
  const started = new PgBoss({ ...options, registerInstance: false });
  started.on("error", (error) => {
    throw error;
  });
  await started.start();
  await started.createQueue(QUEUE, { retryLimit: 0 });
  return started;
}

/** How often `work` ends within `seconds`, per second. */
async function rate(seconds, work) {
  const began = performance.now();
  let done = 0;
  while (performance.now() - began < seconds * 1000) {
    await work();
    done += 1;
  }
  return (done * 1000) / (performance.now() - began);
}

let buyers = 0;

/** Calls these RPCs for a new job of a user who has no other. */
async function call(pool, calls) {
  const user = hash("md5", `buyer ${buyers}`);
  buyers += 1;
  const life = { job: randomUUID(), user, task: randomUUID() };
  for (const { text, values } of calls) {
    await pool.query(
      text,
      values.map((name) => life[name]),
    );
  }
}

/** Orders per second of both, a list of `{ours, theirs}` by round; before them lives, if wanted. */
async function rates({ ours, theirs, calls, withLives, seconds, rounds }) {
  const pool = new pg.Pool({ connectionString: ours, max: 1 });
  const peer = await boss(theirs);
  const inTurn = async (ourWork, theirWork) => {
    const found = [];
    await rate(1, ourWork);
    await rate(1, theirWork);
    for (let round = 0; round < rounds; round++) {
      found.push({ theirs: await rate(seconds, theirWork), ours: await rate(seconds, ourWork) });
    }
    return found;
  };
  const life = async () => {
    await peer.send(QUEUE, ORDER);
    const [job] = await peer.fetch(QUEUE);
    await peer.complete(QUEUE, job.id, RESULT);
  };
  // Nothing else waits yet, so that each fetch and each claim takes the job of its own life.
  const lives = withLives ? await inTurn(() => call(pool, calls), life) : [];
  const count = "select count(*)::int as open from jobs where completed_at is null";
  const { open } = (await pool.query(count)).rows[0];
  if (open) throw new Error(`${open} lives did not end`);
  const order = () => call(pool, calls.slice(0, 1));
  const orders = await inTurn(order, () => peer.send(QUEUE, ORDER));
  await pool.end();
  await peer.stop({ graceful: false });
  return { lives, orders };
}

/** How many milliseconds one supervise of that many stale jobs takes; each of them fails. */
async function expire({ theirs, jobs }) {
  const pool = new pg.Pool({ connectionString: theirs, max: 1 });
  const peer = await boss(theirs);
  await peer.insert(
    QUEUE,
    Array.from({ length: jobs }, () => ({ data: ORDER })),
  );
  await peer.fetch(QUEUE, { batchSize: jobs });
  await pool.query("update pgboss.job set started_on = started_on - interval '1 day'");
  await pool.query("vacuum analyze");
  await pool.query("checkpoint");
  const began = performance.now();
  await peer.supervise(QUEUE);
  const ms = performance.now() - began;
  const count = "select count(*)::int as failed from pgboss.job where state = 'failed'";
  const { failed } = (await pool.query(count)).rows[0];
  if (failed !== jobs) throw new Error(`${failed} of ${jobs} jobs failed`);
  await pool.end();
  await peer.stop({ graceful: false });
  return { ms };
}

const request = JSON.parse(process.argv[2]);
const answer = await { rates, expire }[request.measure](request);
console.log(JSON.stringify(answer));
