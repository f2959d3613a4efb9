// Calls that are on their way while the user changes or the page is disposed of.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, row, TOOL } from "./page.mjs";

const RUNNING = { status: "running" };

/** What ends a user's time on the page, and the code of the error for what was on its way. */
const ENDS = [
  ["signed_out", ({ signIn }) => signIn("user-2")],
  ["disposed", ({ jobs }) => jobs.dispose()],
];

/** Opens a page whose rows of `jobs` or whose queries of a job come late. */
function openLate(context, late) {
  const asked = Promise.withResolvers();
  const answered = Promise.withResolvers();
  const wait = async (value) => {
    asked.resolve();
    await answered.promise;
    return value;
  };
  const rows = [row({ id: "job-1", tool: TOOL }, "running")];
  const page = open(
    { "/queue-status": () => (late === "query" ? wait(RUNNING) : RUNNING) },
    { rows: () => (late === "rows" ? wait(rows) : rows) },
  );
  context.after(() => page.jobs.dispose());
  return { ...page, asked: asked.promise, answer: answered.resolve };
}

for (const [code, end] of ENDS) {
  test(`\`resume\` brings no jobs back: ${code}`, async (context) => {
    const page = openLate(context, "rows");
    const resumed = page.jobs.resume();
    await page.asked;
    end(page);
    page.answer();
    await assert.rejects(resumed, { name: "JobError", code });
    assert.deepEqual(page.jobs.list(), []);
    assert.equal(page.count("/queue-status"), 0);
  });

  for (const late of ["rows", "query"])
    test(`\`job\` brings no job back while its ${late} come late: ${code}`, async (context) => {
      const page = openLate(context, late);
      const found = page.jobs.job("job-1");
      await page.asked;
      end(page);
      page.answer();
      await assert.rejects(found, { name: "JobError", code });
      assert.deepEqual(page.jobs.list(), []);
    });
}

test("a page that was disposed of hears of no user who signs in", async (context) => {
  const page = openLate(context, "rows");
  const resumed = page.jobs.resume();
  await page.asked;
  page.jobs.dispose();
  page.answer();
  await assert.rejects(resumed, { code: "disposed" });
  assert.equal(page.hearsOfUsers(), false);
});

test("a page that was disposed of resumes jobs if it is asked to later", async (context) => {
  const page = openLate(context, "none");
  page.jobs.dispose();
  const [job] = await page.jobs.resume();
  assert.equal(job.id, "job-1");
});

test("a page on which nobody was signed in resumes the jobs of who signs in", async (context) => {
  const page = openLate(context, "rows");
  page.jobs.subscribe(() => {});
  page.signIn(null);
  const resumed = page.jobs.resume();
  await page.asked;
  page.signIn("user-1");
  page.answer();
  assert.equal((await resumed).length, 1);
});
