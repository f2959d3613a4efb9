// A tool's card shows what the tool costs, and a provider's card shows our account's balance.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin/tools", { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
const card = tab.locator(`[id="${given.tool}"]`);
await card.locator(".facts").waitFor();
const before = await card.locator(".facts").innerText();
await card.locator("[data-limits]").click();
await dialog.getByLabel("Reason").fill("their new price list");
await dialog.locator("button[type=submit]").click();
const unchanged = await dialog.locator(".problem:not([hidden])").innerText();
await dialog.getByLabel(/^Cost of an attempt/).fill("12.5");
await dialog.locator("button[type=submit]").click();
await dialog.waitFor({ state: "detached" });
await card.getByText("12.5").waitFor();
await tab.goto("/admin/providers");
const left = await tab.locator("#runninghub [data-balance]").innerText();
await tab.goto("/admin/log");
const log = await tab.locator("tr[data-act=tool_changed]").first().innerText();
await tell({ before, unchanged, left, log });
