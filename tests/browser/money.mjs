// The money by day, on the page and as a file, and the debts of the overview. The database answers
// one row at once, where a project of Supabase answers at most 1,000.

import { readFile } from "node:fs/promises";
import { open, tell } from "./tab.mjs";

const tab = await open("/", { email: "admin1@example.com" });
await tab.route(/\/rest\/v1\/(money_by_day|open_debts)\?/, (route) => {
  const url = new URL(route.request().url());
  url.searchParams.set("limit", "1");
  return route.continue({ url: url.href });
});
await tab.goto("/admin");
const debts = await tab.locator("[data-tile=debts]").innerText();
await tab.goto("/admin/money");
await tab.locator("tr[data-day]").first().waitFor();
const days = await tab.locator("tr[data-day]").allInnerTexts();
const waiting = tab.waitForEvent("download");
await tab.getByRole("button", { name: "Save as CSV" }).click();
const download = await waiting;
const file = await readFile(await download.path(), "utf8");
await tell({ debts, days, name: download.suggestedFilename(), lines: file.trim().split("\r\n") });
