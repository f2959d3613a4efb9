// An admin switches a provider off and on and changes a price; a waiting job says why it waits.

import { given, open, tell } from "./tab.mjs";

const tab = await open(given.at, { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
async function change(button, fields) {
  await button.click();
  for (const [name, value] of Object.entries(fields))
    await dialog.getByLabel(name, { exact: true }).fill(value);
  await dialog.locator("button[type=submit]").click();
  await dialog.waitFor({ state: "detached" });
}

await tab.locator(given.button).waitFor();
await change(tab.locator(given.button), given.fields);
if (given.shows) await tab.getByText(given.shows).first().waitFor();
await tab.goto("/admin/log");
await tab.locator("tr[data-act]").first().waitFor();
const log = await tab.locator("tr[data-act]").first().innerText();
await tell({ log });
