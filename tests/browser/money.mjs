// The money by day, on the page and as a file.

import { readFile } from "node:fs/promises";
import { open, tell } from "./tab.mjs";

const tab = await open("/admin/money", { email: "admin1@example.com" });
await tab.locator("tr[data-day]").first().waitFor();
const days = await tab.locator("tr[data-day]").allInnerTexts();
const waiting = tab.waitForEvent("download");
await tab.getByRole("button", { name: "Save as CSV" }).click();
const download = await waiting;
const file = await readFile(await download.path(), "utf8");
await tell({ days, name: download.suggestedFilename(), lines: file.trim().split("\r\n") });
