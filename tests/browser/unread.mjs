// What an admin sees if the database does not answer a query: never an empty list.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
await tab.locator(`tr[data-job="${given.job}"]`).waitFor();
const refused = {
  status: 500,
  json: { code: "57014", message: "canceling statement due to statement timeout" },
};
for (const view of ["invariant_violations", "job_events", "credit_entries", "job_steps"]) {
  await tab.route(new RegExp(`/rest/v1/${view}\\?`), (route) => route.fulfill(refused));
}
await tab.route("**/functions/v1/health", (route) =>
  route.fulfill({ status: 503, json: { ok: false, lastSweepSeconds: 3, stuck: 0, violations: 2 } }),
);
await tab.reload();
await tab.locator("[data-tile=invariants]", { hasText: "2" }).click();
await tab.locator("main .problem").waitFor();
const violations = await tab.locator("main").innerText();
await tab.goto(`/admin/jobs/${given.job}`);
await tab.locator("main .panel .problem").nth(2).waitFor();
const page = await tab.locator("main").innerText();
// The list stays as it was, below a sentence that says that it is old.
await tab.goto("/admin/jobs");
await tab.locator(`tr[data-job="${given.job}"]`).waitFor();
await tab.route(/\/rest\/v1\/jobs\?/, (route) => route.abort());
await tab.getByLabel("Age").selectOption("-60");
await tab.locator("main .problem").waitFor();
const stale = await tab.locator("main").innerText();
await tab.unrouteAll();
await tab.route("**/functions/v1/health", (route) =>
  route.fulfill({ status: 500, json: { code: "internal", message: "Internal error" } }),
);
await tab.goto("/admin");
await tab.locator(".health .problem").waitFor();
const health = await tab.locator(".health").innerText();
await tab.unrouteAll();
await tab.route("**/rest/v1/rpc/has_role", (route) => route.fulfill(refused));
await tab.reload();
await tab.locator("main .problem").waitFor();
const role = await tab.locator("main").innerText();
await tell({ violations, page, stale, health, role });
