// The page of credits on a phone, in four languages and by keyboard alone: all entries, newest
// first.

import { open, stack, tell } from "./tab.mjs";

const seen = {};
for (const locale of ["en-GB", "pt-BR", "ru-RU", "uk-UA"]) {
  const tab = await open("/", { locale, viewport: { width: 390, height: 844 } });
  await tab.locator("[name=email]").fill("user1@example.com");
  await tab.locator("[name=password]").fill(stack.users[0].password);
  await tab.locator("[type=submit]").click();
  await tab.locator("a.balance").focus();
  await tab.keyboard.press("Enter");
  await tab.locator(".ledger-row").first().waitFor();
  const first = await tab.locator(".ledger-row > div:not(.num) > strong").allInnerTexts();
  const more = tab.locator(".credits section .button");
  const pages = [await tab.locator(".ledger-row").count()];
  while (await more.isVisible()) {
    await more.focus();
    await tab.keyboard.press("Enter");
    const last = pages.at(-1);
    await tab.locator(".ledger-row").nth(last).waitFor();
    pages.push(await tab.locator(".ledger-row").count());
  }
  const ids = await tab
    .locator(".ledger-row")
    .evaluateAll((rows) => rows.map((row) => Number(row.dataset.entry)));
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  const newestFirst = ids.every((id, index) => index === 0 || id < ids[index - 1]);
  seen[locale.slice(0, 2)] = { first, pages, newestFirst, wide: Math.max(0, wide) };
  await tab.context().close();
}
await tell({ seen });
