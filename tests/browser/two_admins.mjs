// Two admins look at the same running job, and both cancel it.

import { given, open, tell } from "./tab.mjs";

const emails = ["admin1@example.com", "admin2@example.com"];
const tabs = await Promise.all(emails.map((email) => open("/admin", { email })));
for (const tab of tabs) await tab.locator(`[data-cancel="${given.job}"]`).click();
await Promise.all(tabs.map((tab) => tab.getByRole("button", { name: "Cancel job" }).click()));
// One admin sees a toast, the other sees the refusal in the dialog, which stays.
const told = (tab) => tab.locator(".toast, dialog .problem:not([hidden])").first().innerText();
const toasts = await Promise.all(tabs.map(told));
for (const tab of tabs) if (await tab.locator("dialog").count()) await tab.keyboard.press("Escape");
const rows = await Promise.all(
  tabs.map((tab) => tab.locator(`tr[data-job="${given.job}"][data-status=cancelled]`).innerText()),
);
await tell({ toasts, rows });
