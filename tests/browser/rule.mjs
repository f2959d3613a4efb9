// An admin adds a price rule to a tool, changes it and removes it.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin/tools", { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
const fill = (label, text) => dialog.getByLabel(label, { exact: true }).fill(text);
const save = () => dialog.locator("button[type=submit]").click();
const card = tab.locator(`[id="${given.tool}"]`);
const rule = card.locator(`[data-price="${given.position}"]`);

await card.locator("[data-rule]").click();
await fill("Position", String(given.position));
await fill("Options, as JSON", "{not json");
await fill("Credits", "90");
await fill("Reason", "pro costs more");
await save();
const refused = await dialog.locator(".problem:not([hidden])").innerText();
await fill("Options, as JSON", '{"version": "pro"}');
await save();
await dialog.waitFor({ state: "detached" });
await rule.waitFor();
const added = await rule.innerText();

await rule.getByRole("button", { name: "Change" }).click();
await fill("Credits", "95");
await fill("Reason", "dearer still");
await save();
await dialog.waitFor({ state: "detached" });
await rule.getByText("95").waitFor();
const changed = await rule.innerText();

await rule.getByRole("button", { name: "Remove" }).click();
await fill("Reason", "one price for all");
await save();
await dialog.waitFor({ state: "detached" });
await rule.waitFor({ state: "detached" });

await tab.goto("/admin/log");
await tab.locator("tr[data-act=price_changed]").nth(2).waitFor();
const log = await tab.locator("tr[data-act=price_changed]").allInnerTexts();
await tell({ refused, added, changed, log });
