// An admin follows a job on its own page from the queue to the result, then goes back to the list.

import { endAsAdmin } from "../client/stack.mjs";
import { finish, given, open, tell } from "./tab.mjs";

const tab = await open("/admin/jobs?status=queued", { email: "admin1@example.com" });
await tab.locator(`tr[data-job="${given.job}"] a.link`).first().click();
await tab.waitForURL(`**/admin/jobs/${given.job}`);
const why = tab.locator("[data-why]");
const waits = await why.innerText();
const heading = await tab.evaluate(() => document.activeElement.tagName);
const title = await tab.title();
const input = await tab.locator(".pair .panel").first().innerText();
await endAsAdmin(given.before);
await tab.locator(".standing.running").waitFor();
const runs = await why.innerText();
await finish(given.job);
await tab.locator(".standing.completed").waitFor();
const done = await why.innerText();
await tab.locator(".pair img").last().waitFor();
const pictures = await tab.locator(".pair img").count();
await tab.locator("tr[data-event=job_completed]").waitFor();
const events = await tab.locator("tr[data-event]").allInnerTexts();
const steps = await tab.locator("tr[data-step]").innerText();
const ledger = await tab.locator("tr[data-entry]").allInnerTexts();
await tab.goBack();
await tab.getByText("No job matches.").waitFor();
const back = new URL(tab.url()).search;
const filter = await tab.getByLabel("Status").inputValue();
await tab.goForward();
await tab.locator(".standing.completed").waitFor();
await tell({
  waits,
  heading,
  title,
  input,
  runs,
  done,
  pictures,
  events,
  steps,
  ledger,
  back,
  filter,
});
