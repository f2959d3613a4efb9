// An admin sets filters and cancels every live job that matches, or stops the run in between.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
await tab.locator(".jobs tr[data-job]").first().waitFor();
const total = () => tab.locator("[data-total]").getAttribute("data-total");
const everybody = Number(await total());
await tab.getByLabel("User").fill(given.user);
await tab.keyboard.press("Enter");
await tab.locator(`[data-total="${given.count}"]`).waitFor();
const matching = Number(await total());
const address = new URL(tab.url()).search;
await tab.getByRole("button", { name: "Cancel all that match" }).click();
const dialog = tab.getByRole("dialog");
const question = await dialog.innerText();
await dialog.getByLabel("Reason").fill("an outage");
if (given.count >= 50) await dialog.getByLabel(/^Type/).fill(String(given.count));
const asked = [];
await tab.route("**/functions/v1/admin-cancel-job/many", async (route) => {
  asked.push(route.request().postDataJSON());
  if (asked.length === given.stopIn) await dialog.getByRole("button", { name: "Stop" }).click();
  await route.continue();
});
await dialog.getByRole("button", { name: /^Cancel \d+ jobs?$/ }).click();
await dialog.getByRole("button", { name: "Close" }).waitFor();
const end = await dialog.locator("[data-done]").innerText();
const done = Number(await dialog.locator("[data-done]").getAttribute("data-done"));
await dialog.getByRole("button", { name: "Close" }).click();
await tab.locator(".jobs").waitFor();
const fields = asked.map(({ filter, limit, reason }) => ({
  ids: filter.ids.length,
  userId: filter.userId,
  limit,
  reason,
}));
await tell({ everybody, matching, address, question, end, done, fields });
