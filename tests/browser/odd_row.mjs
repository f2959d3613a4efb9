// The page of a live try-on: a step that waits for the one before, a status that the page has no
// words for, and a row that it cannot draw.

import { given, open, tell } from "./tab.mjs";

const tab = await open(`/admin/jobs/${given.job}`, { email: "admin1@example.com" });
const badges = tab.locator("tr[data-step] .badge");

/** Changes every row that the database answers of a table. */
const changeRows = (table, change) =>
  tab.route(new RegExp(`/rest/v1/${table}\\?`), async (route) => {
    const response = await route.fetch();
    const rows = await response.json();
    await route.fulfill({ response, json: rows.map((row) => ({ ...row, ...change })) });
  });

await badges.nth(1).waitFor();
const waits = await badges.nth(1).innerText();
await changeRows("job_steps", { status: "paused" });
await badges.filter({ hasText: "paused" }).nth(1).waitFor();
const title = await tab.locator("h1").innerText();

const problem = tab.locator("main .problem");
await changeRows("jobs", { created_at: "never" });
await problem.waitFor();
const kept = await badges.count();
await tab.reload();
await problem.waitFor();
const said = await problem.innerText();
// The page goes on refreshing, so that it shows the rows once it can draw them.
await tab.unrouteAll({ behavior: "wait" });
await badges.filter({ hasText: waits }).waitFor();
const left = await problem.count();
await tell({ waits, title, kept, said, left });
