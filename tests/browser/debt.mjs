// What a user who owes credits sees, and what an admin sees of the debt.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
await tab.locator(".tool-form button[type=submit]:not(.asking)", { hasText: "Get" }).waitFor();
const offer = await tab.locator(".offer").innerText();
await tab.locator("a.balance").click();
await tab.locator(".ledger-row").first().waitFor();
const credits = await tab.locator("main.credits").innerText();

const admin = await open("/admin", { email: "admin1@example.com" });
const tile = await admin.locator("[data-tile=debts]").innerText();
await admin.locator("[data-tile=debts]").click();
const owes = admin.locator(`tr[data-key="${given.user}"]`);
const debts = await owes.innerText();
await owes.getByRole("link").click();
const purchases = await admin
  .getByRole("table")
  .filter({ has: admin.getByRole("columnheader", { name: "Taken back" }) })
  .innerText();
await tell({ offer, credits, tile, debts, purchases });
