// An admin cancels a running job by clicking, then looks at the job's own page.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
const row = tab.locator(`tr[data-job="${given.job}"]`);
await row.waitFor();
const before = await row.innerText();
const finished = await tab.locator(`tr[data-job="${given.finished}"] [data-cancel]`).count();
const colour = await row
  .locator("[data-cancel]")
  .evaluate((button) => getComputedStyle(button).color);
await row.locator("[data-cancel]").click();
const question = await tab.getByRole("dialog").innerText();
await tab.getByRole("button", { name: "Cancel job" }).click();
const toast = await tab.locator(".toast").innerText();
await tab.locator(`tr[data-job="${given.job}"][data-status=cancelled]`).waitFor();
const after = await row.innerText();
const buttons = await row.locator("[data-cancel]").count();
const health = await tab.locator(".health").innerText();
await row.locator("a.link").first().click();
await tab.waitForURL(`**/admin/jobs/${given.job}`);
await tab.locator("tr[data-event=job_cancelled]").waitFor();
const history = await tab.locator("main").innerText();
await tab.goBack();
await row.waitFor();
const address = await tab.evaluate(() => location.pathname);
const seen = { before, finished, colour, question, toast, after, buttons, history, health };
await tell({ ...seen, address });
