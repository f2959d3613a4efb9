// A job that runs is followed, whatever answers a query of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ended, html, INPUT, missing, open, TOOL } from "./page.mjs";

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
