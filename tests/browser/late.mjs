// A late answer does not replace what was asked for after it: neither the filters of an act, nor
// the open page.

import { readFile } from "node:fs/promises";
import { given, open, tell } from "./tab.mjs";

const FIND = "**/functions/v1/admin-users/find";

const tab = await open("/admin/jobs?status=live", { email: "admin1@example.com" });

/**
 * Holds back the answer to the request that `act` causes. Returns a function that lets it arrive.
 */
async function heldBack(url, act) {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const hold = async (route) => {
    await released;
    await route.continue();
  };
  await tab.route(url, hold, { times: 1 });
  const asked = tab.waitForRequest(url);
  await act();
  const answered = (await asked).response();
  return async () => {
    release();
    await answered;
    // When another request of the page is answered, the page has read the answer before it.
    await tab.evaluate(() => fetch("/config.json").then((answer) => answer.text()));
  };
}

async function search(text) {
  await tab.getByRole("searchbox", { name: "Search" }).fill(text);
  await tab.keyboard.press("Enter");
}

// The count of everybody's jobs is still running when the jobs of one user are shown.
await tab.locator('[data-total="2"]').waitFor();
const counted = await heldBack(/\/rest\/v1\/jobs\?select=id$/, () =>
  tab.locator(".filters [name=status]").selectOption(""),
);
await tab.locator(".filters [name=user]").fill(given.user);
await tab.keyboard.press("Enter");
await tab.locator('[data-total="1"]').waitFor();
await counted();
const [download] = await Promise.all([
  tab.waitForEvent("download"),
  tab.getByRole("button", { name: "Save as CSV" }).click(),
]);
const file = await readFile(await download.path(), "utf8");
await tab.getByRole("button", { name: "Cancel all that match" }).click();
const dialog = tab.getByRole("dialog");
const question = await dialog.innerText();
await dialog.getByLabel("Reason").fill("an outage");
await dialog.getByRole("button", { name: /^Cancel \d+ jobs?$/ }).click();
await dialog.getByRole("button", { name: "Close" }).waitFor();
const end = await dialog.locator("[data-done]").innerText();
await dialog.getByRole("button", { name: "Close" }).click();

// A search is still running when another page is opened, or another search is started.
const pages = [];
let found = await heldBack(FIND, () => search(given.email));
await tab.getByRole("link", { name: "Money", exact: true }).click();
await tab.locator("h1", { hasText: "Money" }).waitFor();
await found();
pages.push(await tab.evaluate(() => location.pathname));
found = await heldBack(FIND, () => search(given.email));
await search("nobody");
await tab.locator("h1", { hasText: "nobody" }).waitFor();
await found();
pages.push(await tab.evaluate(() => location.pathname + location.search));
await tell({ file, question, end, pages });
