// The network fails during each act: once before the request arrives, once after it was carried
// out. The dialog stays and says so. When the admin sends it a second time, the act is done once.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
const dialog = tab.getByRole("dialog");
const seen = {};

async function act(name, { at, button, fields = {}, path }) {
  await tab.goto(at);
  await tab.locator(button).first().click();
  for (const [label, value] of Object.entries(fields))
    await dialog.getByLabel(label, { exact: true }).fill(value);
  const said = [];
  for (const arrives of [false, true]) {
    await tab.route(
      `**/functions/v1/${path}`,
      async (route) => {
        if (arrives) await route.fetch();
        await route.abort();
      },
      { times: 1 },
    );
    await dialog.locator("button[type=submit]").click();
    await dialog.locator(".problem:not([hidden])").waitFor();
    said.push(await dialog.locator(".problem").innerText());
    await dialog.locator("button[type=submit]:not(:disabled)").waitFor();
  }
  await dialog.locator("button[type=submit]").click();
  await tab.locator(".toast, dialog .problem:not([hidden])").first().waitFor();
  const end = await tab.locator(".toast, dialog .problem:not([hidden])").last().innerText();
  seen[name] = { said, end };
}

for (const [name, given_] of Object.entries(given.acts)) await act(name, given_);
await tell({ seen });
