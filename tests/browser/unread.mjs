// What an admin is shown where the database does not answer a question: never an empty list.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
const refused = {
  status: 500,
  json: { code: "57014", message: "canceling statement due to statement timeout" },
};
for (const view of ["invariant_violations", "job_events", "job_receipts", "job_steps"]) {
  await tab.route(new RegExp(`/rest/v1/${view}\\?`), (route) => route.fulfill(refused));
}
await tab.route("**/functions/v1/health", (route) =>
  route.fulfill({ status: 503, json: { ok: false, lastSweepSeconds: 3, stuck: 0, violations: 2 } }),
);
await tab.reload();
const row = tab.locator(`tr[data-job="${given.job}"]`);
await row.waitFor();
const toast = await tab.locator(".toast").first().innerText();
await tab.locator("[data-tile=invariants]").click();
const violations = await tab.getByRole("dialog").innerText();
await tab.getByRole("dialog").getByRole("button").last().click();
await row.locator("td .link").first().click();
await tab.locator(".drawer .problem").first().waitFor();
const drawer = await tab.locator(".drawer").innerText();
await tab.unrouteAll();
await tab.route(/\/rest\/v1\/user_roles\?/, (route) => route.fulfill(refused));
await tab.reload();
await tab.locator("main .problem").waitFor();
const role = await tab.locator("main").innerText();
await tell({ toast, violations, drawer, role });
