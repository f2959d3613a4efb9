// The studio on a phone, in every language: every tool, its code, the results and the sign-in page.
// Nothing is wider than the screen, nothing is too small to touch, no text is missing, the button
// that orders is visible, and axe finds nothing.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { given, open, stack, tell } from "./tab.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const findings = [];
let looked = 0;

async function look(tab, locale, place) {
  looked += 1;
  const seen = await tab.evaluate(() => {
    const shown = document.querySelector("dialog[open]") ?? document.querySelector("main");
    const isSeen = (element) => element.getClientRects().length > 0;
    const small = [...document.querySelectorAll("button, a.button, select, summary")]
      .filter(isSeen)
      .map((element) => [element.textContent, element.getBoundingClientRect().height])
      .filter(([, height]) => height < 44);
    const text = shown.innerText.replaceAll("/dev/null", "");
    const codes = text.match(
      /\b(job|tool|do|about|option|field|drop|error|auth|card|status)_[a-z_]+\b|runninghub|banana/g,
    );
    const nothing = text.match(/\b(null|undefined|NaN)\b/g);
    const order = document.querySelector(".offer button");
    const isOut =
      order && isSeen(order) && scrollY === 0 && order.getBoundingClientRect().bottom > innerHeight;
    const { scrollWidth } = document.documentElement;
    return { wide: scrollWidth - innerWidth, small, codes, nothing, isOut };
  });
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => globalThis.axe.run());
  const { wide, small, codes, nothing, isOut } = seen;
  if (wide > 0 || small.length || codes || nothing || isOut)
    findings.push({ locale, place, ...seen });
  for (const { id, nodes } of violations)
    findings.push({ locale, place, id, nodes: nodes.map(({ target }) => target.join(" ")) });
}

for (const locale of ["en-US", "pt-BR", "ru-RU", "uk-UA"]) {
  const tab = await open("/", {
    locale,
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
    reducedMotion: "reduce",
    colorScheme: locale === "ru-RU" ? "dark" : "light",
  });
  const ways = tab.locator(".door-ways button");
  await ways.first().waitFor();
  await look(tab, locale, "door");
  await ways.last().click();
  await look(tab, locale, "sign-up");
  await ways.first().click();
  await tab.locator("[name=email]").fill("user1@example.com");
  await tab.locator("[name=password]").fill(stack.users[0].password);
  await tab.locator("form [type=submit]").click();
  await tab.locator(".history-row").first().waitFor();
  for (const tool of await tab.locator(".tool").all()) {
    await tool.click();
    await tab.locator(".tool-form button[type=submit]:not(.asking)").waitFor();
    await tab.evaluate(() => scrollTo(0, 0));
    await look(tab, locale, await tool.getAttribute("data-tool"));
  }
  await tab.locator(".tool-about .button").click();
  await look(tab, locale, "code");
  await tab.locator(".history-row summary").first().click();
  for (const job of given.jobs) {
    await tab.locator(`.history-row[data-job="${job}"] .history-open`).click();
    await tab.locator(`.stage-job[data-job="${job}"]`).waitFor();
    await look(tab, locale, job);
  }
  await tab.locator(".card-open").first().click();
  await tab.locator("dialog[open] img").waitFor();
  await look(tab, locale, "a card");
  await tab.context().close();
}
await tell({ looked, findings });
