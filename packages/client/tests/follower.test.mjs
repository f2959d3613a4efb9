// A job that runs is followed, whatever answers a query of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ended, html, INPUT, lost, missing, open, row, TOOL, until } from "./page.mjs";

const RUNNING = { status: "running" };
const DONE = { status: "completed", outputUrl: "https://files.test/out.png" };
const refused = (code, status) => Response.json({ code, message: "no" }, { status });

/** Runs a job; each query of it gets one of the answers, and those that follow `DONE`. */
async function run(...answers) {
  const queryAnswer = () => answers.shift()?.() ?? DONE;
  const { jobs } = open({ "/run": RUNNING, "/queue-status": queryAnswer });
  return ended(jobs.run(TOOL, INPUT));
}

test("a proxy's answer to a query does not end a job that runs", async () => {
  const json = () => Response.json({ message: "no route" }, { status: 404 });
  for (const odd of [() => html(400), () => html(403), () => html(404), json])
    assert.deepEqual(await run(odd, odd), { state: "done", code: null });
});

test("a function's refusal of a query ends the job here", async () => {
  for (const [code, status] of [
    ["bad_request", 400],
    ["forbidden", 403],
  ])
    assert.deepEqual(await run(() => refused(code, status)), { state: "failed", code });
  assert.deepEqual(await run(missing), { state: "failed", code: "not_found" });
});

/** Runs a job that ends; each read of its outputs gets one of the answers, then the outputs. */
async function outputsAfter(...answers) {
  const outputs = [{ index: 0, url: DONE.outputUrl, kind: "image", error: null }];
  const { jobs, count, answer } = open({ "/run": RUNNING, "/queue-status": DONE });
  const job = jobs.run(TOOL, INPUT);
  const path = `/jobs/${job.id}`;
  answer(path, () => answers.shift()?.() ?? { outputs });
  const update = await job.result;
  return { hasOutputs: update.outputs.length > 0, reads: count(path) };
}

test("a job that has ended has its outputs although a read of them failed", async () => {
  const limited = () => refused("rate_limited", 429);
  for (const passing of [lost, limited, () => html(502)])
    assert.deepEqual(await outputsAfter(passing, passing), { hasOutputs: true, reads: 3 });
});

test("a job ends without its outputs if they cannot be read", async () => {
  assert.deepEqual(await outputsAfter(missing), { hasOutputs: false, reads: 1 });
  const gone = Array(10).fill(lost);
  assert.deepEqual(await outputsAfter(...gone), { hasOutputs: false, reads: 4 });
});

test("a job that is followed is found although its first query failed", async (context) => {
  const first = Promise.withResolvers();
  const answers = [() => first.promise];
  const { jobs, count } = open(
    { "/queue-status": () => answers.shift()?.() ?? RUNNING },
    { rows: () => [row({ id: "job-1", tool: TOOL }, "running")] },
  );
  context.after(() => jobs.dispose());
  const early = jobs.job("job-1");
  await until(() => count("/queue-status") === 1);
  const [job] = await jobs.resume();
  first.resolve(html(502));
  await assert.rejects(early, { code: "internal" });
  assert.equal(await jobs.job("job-1"), job);
});
