// Listeners of the app that throw: their errors are reported, and the client goes on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { notify } from "../src/listeners.ts";
import { ended, INPUT, open, TOOL, until } from "./page.mjs";

const DONE = { status: "completed", outputUrl: "https://files.test/out.png" };
const SERVER = { "/run": { status: "running" }, "/queue-status": DONE };

/** The errors that were reported as uncaught. */
let reported = [];
globalThis.reportError = ({ message }) => reported.push(message);
test.beforeEach(() => (reported = []));

function fail() {
  throw new Error("a listener failed");
}

test("a listener of a job that throws lets the job and other listeners reach its end", async () => {
  const { jobs, count } = open(SERVER);
  const job = jobs.run(TOOL, INPUT);
  const states = [];
  job.subscribe(fail);
  job.subscribe(({ state }) => states.push(state));
  assert.deepEqual(await ended(job), { state: "done", code: null });
  assert.deepEqual([...new Set(states)], ["uploading", "running", "done"]);
  assert.equal(count("/run"), 1);
  await until(() => reported.length === states.length);
  assert.equal(reported[0], "a listener failed");
});

test("a listener of the list that throws does not keep an order from being accepted", async () => {
  const { jobs } = open(SERVER);
  jobs.subscribe(fail);
  const job = jobs.run(TOOL, INPUT);
  assert.deepEqual(await ended(job), { state: "done", code: null });
  assert.ok(reported.length > 0);
});

test("a listener of the balance that throws does not keep it from who reads it", async () => {
  const { jobs } = open(SERVER);
  const balances = [];
  jobs.onBalance(fail);
  jobs.onBalance((balance) => balances.push(balance));
  assert.deepEqual(await jobs.balance(), { balance: 0, debt: 0 });
  assert.deepEqual(balances, [{ balance: 0, debt: 0 }]);
  await until(() => reported.length === 1);
});

test("an error of a listener is uncaught where nothing takes reports", (context) => {
  const { queueMicrotask, reportError } = globalThis;
  context.after(() => Object.assign(globalThis, { queueMicrotask, reportError }));
  let report;
  Object.assign(globalThis, {
    queueMicrotask: (work) => (report = work),
    reportError: undefined,
  });
  notify([fail]);
  assert.throws(report, { message: "a listener failed" });
});
