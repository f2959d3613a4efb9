// An admin opens the pages of jobs; what each was ordered with is shown as text.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin/jobs", { email: "admin1@example.com" });
const inputs = [];
for (const job of given.jobs) {
  await tab.goto(new URL(`/admin/jobs/${job}`, tab.url()).href);
  await tab.locator("tr[data-event=job_created]").waitFor();
  inputs.push(await tab.locator(".pair .panel").first().innerText());
}
await tell({ inputs });
