// An admin retries a failed job by clicking; a completed job offers no such button in the list.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
const row = tab.locator(`tr[data-job="${given.failed}"]`);
await row.waitFor();
const well = await tab.locator(`tr[data-job="${given.well}"] [data-retry]`).count();
await row.locator("[data-retry]").click();
const dialog = tab.getByRole("dialog");
const question = await dialog.innerText();
await dialog.getByRole("button", { name: "Retry" }).click();
const toast = await tab.locator(".toast").innerText();
const fresh = tab.locator(
  `tr[data-job]:not([data-job="${given.failed}"]):not([data-job="${given.well}"])`,
);
await fresh.first().waitFor();
const made = await fresh.evaluateAll((rows) => rows.map((one) => one.dataset.job));
await tell({ well, question, toast, made });
