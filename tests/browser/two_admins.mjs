// Two admins look at the same running job; both cancel it.

import { given, open, tell } from "./tab.mjs";

const emails = ["admin1@example.com", "admin2@example.com"];
const tabs = await Promise.all(emails.map((email) => open("/admin", { email })));
for (const tab of tabs) await tab.locator(`[data-cancel="${given.job}"]`).click();
await Promise.all(tabs.map((tab) => tab.getByRole("button", { name: "Cancel job" }).click()));
const toasts = await Promise.all(tabs.map((tab) => tab.locator(".toast").innerText()));
const rows = await Promise.all(
  tabs.map((tab) => tab.locator(`tr[data-job="${given.job}"][data-status=cancelled]`).innerText()),
);
await tell({ toasts, rows });
