// An admin finds a user by e-mail address and grants 100 credits. The dialog stays open until the
// grant is answered, whatever the admin presses. Then comes the row of the log.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
await tab.getByRole("searchbox", { name: "Search" }).fill(given.email);
await tab.keyboard.press("Enter");
await tab.waitForURL(`**/admin/users/${given.user}`);
await tab.locator("h1", { hasText: given.email }).waitFor();
const before = await tab.locator("[data-balance]").getAttribute("data-balance");
await tab.locator("[data-grant]").click();
const dialog = tab.getByRole("dialog");
await dialog.getByLabel("Credits").fill("100");
await dialog.getByRole("button", { name: "Give credits" }).click();
const without = await dialog.getByLabel("Reason").evaluate((field) => field.validity.valueMissing);
await dialog.getByLabel("Reason").fill("for the outage of Monday");
let release;
const released = new Promise((resolve) => (release = resolve));
const hold = async (route) => {
  await released;
  await route.continue();
};
await tab.route("**/functions/v1/admin-users/grant", hold, { times: 1 });
await dialog.getByRole("button", { name: "Give credits" }).click();
const isKept = await dialog.getByRole("button", { name: "Back" }).isDisabled();
await tab.keyboard.press("Escape");
await tab.keyboard.press("Escape");
await dialog.waitFor();
release();
const toast = await tab.locator(".toast").innerText();
await tab.locator(`[data-balance="${Number(before) + 100}"]`).waitFor();
const entry = await tab.locator("tr[data-entry]").first().innerText();
await tab.getByRole("link", { name: "Log" }).click();
const log = await tab.locator("tr[data-act=credits_granted]").first().innerText();
const found = {};
for (const [name, text] of Object.entries(given.searches)) {
  await tab.getByRole("searchbox", { name: "Search" }).fill(text);
  await tab.keyboard.press("Enter");
  await tab.waitForURL((url) => /\/(jobs|users)\/|search/.test(url.pathname));
  await tab.waitForURL(/\/(jobs|users)\//);
  found[name] = new URL(tab.url()).pathname;
  await tab.goto("/admin");
  await tab.locator(".jobs").waitFor();
}
await tell({ before, without, isKept, toast, entry, log, found });
