// Orders that had no answer: the job may run and cost, and its true end is shown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ended, INPUT, lost, missing, open, row, TOOL, until } from "./page.mjs";

const NONE = { success: true, cancelledCount: 0, refundedCredits: 0 };
const DONE = { status: "completed", outputUrl: "https://files.test/out.png" };
const refused = () => Response.json({ code: "rate_limited", message: "later" }, { status: 429 });

/** Orders a job whose order is lost; `act` happens in the pause that follows. */
async function lostThen(act, server) {
  const paused = Promise.withResolvers();
  // This timer is begun before that of the pause, and is shorter.
  const run = () => {
    setTimeout(() => paused.resolve(act({ ...page, job })));
    lost();
  };
  const page = open({ "/run": run, "/cancel-session": NONE, ...server });
  const job = page.jobs.run(TOOL, INPUT);
  const states = new Set();
  job.subscribe(({ state }) => states.add(state));
  await paused.promise;
  return { ...page, job, states };
}

const cancelledInThePause = (server) => lostThen(({ job }) => job.cancel(), server);

test("a job that was cancelled after a lost answer and runs all the same is followed", async () => {
  const answers = [{ status: "running" }, DONE];
  const look = () => answers.shift() ?? DONE;
  const { job, states, count } = await cancelledInThePause({ "/queue-status": look });
  assert.deepEqual(await ended(job), { state: "done", code: null });
  assert.deepEqual([...states], ["uploading", "running", "done"]);
  assert.equal(count("/run"), 1, "what was given up is not ordered once more");
});

test("a try that is refused does not hide one before it that arrived", async () => {
  const second = Promise.withResolvers();
  const tries = [lost, () => second.promise];
  const page = open({
    "/run": () => tries.shift()(),
    "/cancel-session": NONE,
    "/queue-status": DONE,
  });
  const job = page.jobs.run(TOOL, INPUT);
  await until(() => page.count("/run") === 2);
  await job.cancel();
  second.resolve(refused());
  assert.deepEqual(await ended(job), { state: "done", code: null });
});

test("an order is followed if only a retry of it is refused", async () => {
  const tries = [lost, refused];
  const page = open({ "/run": () => tries.shift()(), "/queue-status": DONE });
  const job = page.jobs.run(TOOL, INPUT);
  assert.deepEqual(await ended(job), { state: "done", code: null });
  assert.equal(page.count("/run"), 2);
});

test("a refused retry does not say that the order never arrived where nobody answers", async () => {
  const tries = [lost, refused];
  const page = open({ "/run": () => tries.shift()(), "/queue-status": lost });
  const job = page.jobs.run(TOOL, INPUT);
  assert.deepEqual(await ended(job), { state: "failed", code: "network" });
});

test("an order that may have arrived keeps its id however often it is refused", async () => {
  const tries = [lost];
  const page = open({
    "/run": () => (tries.shift() ?? refused)(),
    "/queue-status": missing,
  });
  const job = page.jobs.run(TOOL, INPUT);
  assert.deepEqual(await ended(job), { state: "failed", code: "rate_limited" });
  for (const clicks of [2, 3]) {
    const same = page.jobs.run(TOOL, INPUT);
    assert.equal(same.id, job.id, `click ${clicks}`);
    assert.deepEqual(await ended(same), { state: "failed", code: "rate_limited" });
    assert.deepEqual(same.update.input, INPUT);
  }
});

test("what was cancelled and never arrived is cancelled, and its id not used again", async () => {
  const { job, jobs, count } = await cancelledInThePause({ "/queue-status": missing });
  assert.deepEqual(await ended(job), { state: "cancelled", code: "CANCELLED" });
  assert.ok(count("/queue-status") > 1, "the order may have been on its way");
  const anew = jobs.run(TOOL, INPUT);
  jobs.dispose();
  assert.notEqual(anew.id, job.id, "the server refuses that one");
});

test("a job that was cancelled is not called so where nobody answers", async () => {
  const { job } = await cancelledInThePause({ "/queue-status": lost });
  assert.deepEqual(await ended(job), { state: "failed", code: "network" });
});

test("nobody asks for a job whose user signed out in the pause after a lost answer", async () => {
  const server = { "/queue-status": DONE };
  const { job, count } = await lostThen(({ signIn }) => signIn("user-2"), server);
  assert.deepEqual(await ended(job), { state: "failed", code: "signed_out" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual([count("/run"), count("/queue-status")], [1, 0]);
});

test("an order that is repeated after its job has ended has the job's outputs", async () => {
  const outputs = [{ index: 0, url: DONE.outputUrl, kind: "image", error: null }];
  const createdAt = "2026-01-01T12:00:00Z";
  const tries = [lost, () => ({ status: "completed", replayed: true })];
  const page = open({ "/run": () => tries.shift()(), "/queue-status": DONE });
  const job = page.jobs.run(TOOL, INPUT);
  page.answer(`/jobs/${job.id}`, { outputs, createdAt });
  const update = await job.result;
  assert.deepEqual(update.outputs, outputs);
  assert.deepEqual([update.outputUrl, update.createdAt], [DONE.outputUrl, createdAt]);
});

/** A page whose line was dead from the answer to an order on, until its job had failed. */
async function lineWasDead(rows) {
  let isDead = true;
  const server = { "/run": lost, "/queue-status": () => (isDead ? lost() : DONE) };
  const page = open(server, { rows: () => (isDead ? lost() : rows(job)) });
  const job = page.jobs.run(TOOL, INPUT);
  assert.deepEqual(await ended(job), { state: "failed", code: "network" });
  isDead = false;
  return { ...page, job };
}

test("a job that failed for want of an answer is shown afresh once the line is back", async () => {
  const { jobs, job } = await lineWasDead((job) => [row(job, "completed")]);
  const [found, same] = await Promise.all([jobs.job(job.id), jobs.job(job.id)]);
  assert.equal(found.update.state, "done");
  assert.equal(found.update.outputUrl, DONE.outputUrl);
  assert.equal(found, same);
  assert.equal(await jobs.job(job.id), found);
  assert.deepEqual(jobs.list(), [found]);
  assert.equal(job.update.state, "failed", "what was told stays told");
  assert.notEqual(jobs.run(TOOL, INPUT).id, job.id, "that order has arrived; this is another one");
});

test("a job that failed for want of an answer is resumed while it lives", async () => {
  const { jobs, job } = await lineWasDead((job) => [row(job, "running")]);
  const [found] = await jobs.resume();
  assert.deepEqual([found.id, await ended(found)], [job.id, { state: "done", code: null }]);
});

test("a job that never arrived stays as it ended here, and is ordered anew by its id", async () => {
  const { jobs, job } = await lineWasDead(() => []);
  assert.equal(await jobs.job(job.id), job);
  assert.equal(jobs.run(TOOL, INPUT).id, job.id);
});
