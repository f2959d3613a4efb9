// What answers at the gateway's address before the first call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ended, html, INPUT, lost, missing, open, TOOL } from "./page.mjs";

const DONE = { status: "completed" };

/** Runs two jobs, one after the other, of which the first meets this at `/health`. */
async function run(first) {
  const answers = [first];
  const health = () => answers.shift()?.() ?? { ok: true };
  const { jobs, count } = open({ "/health": health, "/run": DONE, "/queue-status": DONE });
  const codes = [];
  for (let jobsLeft = 2; jobsLeft > 0; jobsLeft--)
    codes.push((await ended(jobs.run(TOOL, INPUT))).code);
  return { codes, asked: count("/health") };
}

test("an odd answer refuses one call and not those that follow", async () => {
  for (const odd of [() => html(404), missing, () => html(200)])
    assert.deepEqual(await run(odd), { codes: ["misconfigured", null], asked: 2 });
});

test("a proxy that wants a pause or a person does not say that no gateway is there", async () => {
  for (const unknown of [() => html(403), () => html(429), () => html(502), lost])
    assert.deepEqual(await run(unknown), { codes: [null, null], asked: 2 });
});

test("a gateway that answered is asked once", async () => {
  const sick = () => Response.json({ ok: false }, { status: 503 });
  assert.deepEqual(await run(sick), { codes: [null, null], asked: 1 });
});
