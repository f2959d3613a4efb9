// The pages in four languages, and in a browser whose language we do not have.

import { open, stack, tell } from "./tab.mjs";

const seen = {};
for (const locale of ["en-GB", "pt-BR", "ru-RU", "uk-UA", "fi-FI"]) {
  const tab = await open("/admin", { locale });
  await tab.locator("[name=email]").fill("admin1@example.com");
  await tab.locator("[name=password]").fill(stack.users[0].password);
  await tab.locator("[type=submit]").click();
  const title = await tab.locator(".admin h1").innerText();
  await tab.goto("/");
  const empty = await tab.locator(".stage-empty h2").innerText();
  seen[locale] = { title, empty, lang: await tab.locator("html").getAttribute("lang") };
  await tab.context().close();
}
await tell({ seen });
