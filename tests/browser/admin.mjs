// An admin cancels a running job by clicking, and looks at what is left of it.

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
await row.locator("td .link").first().click();
const drawer = tab.locator(".drawer");
await drawer.locator("tbody tr").first().waitFor();
const history = await drawer.innerText();
await tab.getByRole("button", { name: "Close" }).click();
const health = await tab.locator(".health").innerText();
await tell({ before, finished, colour, question, toast, after, buttons, history, health });
