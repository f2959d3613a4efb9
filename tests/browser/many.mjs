// An admin filters, and cancels everything live that matches.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
const all = tab.locator("tbody tr[data-job]");
await all.first().waitFor();
const everybody = await all.count();
await tab.getByLabel("User").fill(given.user);
await tab.keyboard.press("Enter");
await tab.waitForFunction(
  (count) => document.querySelectorAll(".jobs tbody tr[data-job]").length < count,
  everybody,
);
const matching = await tab.locator(".jobs tbody tr[data-job]").count();
await tab.getByRole("button", { name: "Cancel all that match" }).click();
const question = await tab.getByRole("dialog").innerText();
await tab.getByRole("button", { name: /^Cancel \d+ jobs?$/ }).click();
const toast = await tab.locator(".toast").innerText();
await tab.getByLabel("Status").selectOption("live");
await tab.getByText("No job matches.").waitFor();
await tell({ everybody, matching, question, toast });
