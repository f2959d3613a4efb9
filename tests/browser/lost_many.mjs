// The network goes away while many jobs are cancelled: before the first part arrives, then after
// the second part of another try was carried out. The dialog says so, and the next try does the
// rest.

import { given, open, tell } from "./tab.mjs";

const tab = await open(`/admin/jobs?user=${given.user}`, { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
const tries = [];

async function cancelAll(count, lostPart, arrives) {
  await tab.locator(`[data-total="${count}"]`).waitFor();
  await tab.getByRole("button", { name: "Cancel all that match" }).click();
  const asked = await dialog.innerText();
  await dialog.getByLabel("Reason").fill("an outage");
  await dialog.getByLabel(/^Type/).fill(String(given.live - tries.reduce((n, t) => n + t.gone, 0)));
  let part = 0;
  await tab.route("**/functions/v1/admin-cancel-job/many", async (route) => {
    if (++part !== lostPart) return route.continue();
    if (arrives) await route.fetch();
    return route.abort();
  });
  await dialog.getByRole("button", { name: /^Cancel \d+ jobs?$/ }).click();
  await dialog.getByRole("button", { name: "Close" }).waitFor();
  const end = await dialog.locator("[data-done]").innerText();
  await dialog.getByRole("button", { name: "Close" }).click();
  await tab.unroute("**/functions/v1/admin-cancel-job/many");
  return { asked, end };
}

for (const { lostPart, arrives, gone } of given.tries)
  tries.push({ ...(await cancelAll(given.live, lostPart, arrives)), gone });
await tell({ tries });
