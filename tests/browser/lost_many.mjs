// The network fails while many jobs are cancelled or retried: before a call arrives, or after it
// was carried out. The dialog says so, and the next run does the rest.

import { given, open, tell } from "./tab.mjs";

const tab = await open(`/admin/jobs?user=${given.user}`, { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
const word = { cancel: "Cancel", retry: "Retry" }[given.act];
const path = `**/functions/v1/admin-${given.act}-job/many`;
const tries = [];

async function changeAll({ total, matching, lostPart, arrives }) {
  await tab.goto(`/admin/jobs?user=${given.user}`);
  await tab.locator(`[data-total="${total}"]`).waitFor();
  await tab.getByRole("button", { name: `${word} all that match` }).click();
  const asked = await dialog.innerText();
  await dialog.getByLabel("Reason").fill("an outage");
  await dialog.getByLabel(/^Type/).fill(String(matching));
  let part = 0;
  await tab.route(path, async (route) => {
    if (++part !== lostPart) return route.continue();
    if (arrives) await route.fetch();
    return route.abort();
  });
  await dialog.getByRole("button", { name: new RegExp(`^${word} \\d+ jobs?$`) }).click();
  await dialog.getByRole("button", { name: "Close" }).waitFor();
  const end = await dialog.locator("[data-done]").innerText();
  await dialog.getByRole("button", { name: "Close" }).click();
  await tab.unroute(path);
  return { asked, end };
}

for (const one of given.tries) tries.push(await changeAll(one));
await tell({ tries });
