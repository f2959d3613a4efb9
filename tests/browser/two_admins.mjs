// Two admins look at the same running job; both cancel it.

import { given, open, tell } from "./tab.mjs";

const emails = ["admin1@example.com", "admin2@example.com"];
const tabs = await Promise.all(emails.map((email) => open("/admin", { email })));
for (const tab of tabs) await tab.locator(`[data-cancel="${given.job}"]`).click();
await Promise.all(tabs.map((tab) => tab.getByRole("button", { name: "Cancel job" }).click()));
// One is told by a toast, the other by the question, which stays.
const told = (tab) => tab.locator(".toast, dialog .problem:not([hidden])").first().innerText();
const toasts = await Promise.all(tabs.map(told));
for (const tab of tabs) if (await tab.locator("dialog").count()) await tab.keyboard.press("Escape");
const rows = await Promise.all(
  tabs.map((tab) => tab.locator(`tr[data-job="${given.job}"][data-status=cancelled]`).innerText()),
);
await tell({ toasts, rows });
