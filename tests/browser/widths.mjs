// Every admin page and dialog on a phone, in every language: nothing is wider than the screen,
// nothing is too small to touch, and every code has words.

import { given, open, stack, tell } from "./tab.mjs";

const findings = [];
let looked = 0;
for (const locale of ["en-US", "pt-BR", "ru-RU", "uk-UA"]) {
  const tab = await open("/admin", {
    locale,
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  await tab.locator("[name=email]").fill("admin1@example.com");
  await tab.locator("[name=password]").fill(stack.users[0].password);
  await tab.locator("form [type=submit]").click();
  await tab.locator("header.top").waitFor();
  for (const place of given.places) {
    const [at, opens] = [place].flat();
    await tab.goto(at);
    await tab.locator(".view > *").first().waitFor();
    if (opens) {
      await tab.locator(opens).first().click();
      await tab.locator("dialog[open]").waitFor();
    }
    looked += 1;
    const seen = await tab.evaluate(() => {
      const shown = document.querySelector("dialog[open]") ?? document.querySelector("main");
      const isSeen = (element) => element.getClientRects().length > 0;
      const small = [...document.querySelectorAll("button, a.button, select, .tabs a")]
        .filter(isSeen)
        .map((element) => [element.textContent, element.getBoundingClientRect().height])
        .filter(([, height]) => height < 44);
      const out = [...shown.querySelectorAll("*")]
        .filter((element) => isSeen(element) && !element.closest(".sr, pre"))
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => `${element.tagName}.${element.className}`);
      const { scrollWidth } = document.documentElement;
      // Texts that are code on purpose: queries, names of columns, copied text.
      const code = [...shown.querySelectorAll("pre, code")].map((element) => element.innerText);
      const text = code.reduce((rest, part) => rest.replace(part, ""), shown.innerText);
      const codes = text.match(/\b(job|step|act|event|code|kind|set|actor)_[a-z_]+\b/g);
      const nothing = text.match(/\b(null|undefined|NaN)\b/g);
      return { wide: scrollWidth - innerWidth, small, out: out.slice(0, 5), codes, nothing };
    });
    const { wide, small, out, codes, nothing } = seen;
    if (wide > 0 || small.length || out.length || codes || nothing)
      findings.push({ locale, place, ...seen });
  }
  await tab.context().close();
}
await tell({ looked, findings });
