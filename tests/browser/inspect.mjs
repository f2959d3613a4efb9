// Checks every page in every state, light and dark, with axe-core.

import { createRequire } from "node:module";
import { picture } from "../client/picture.mjs";
import { finish, given, open, order, reached, signIn, tell } from "./tab.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const findings = [];
const looked = [];

/**
 * The page's content security policy blocks foreign scripts, so axe is injected by the debugger.
 */
async function look(tab, what) {
  const { readFileSync } = await import("node:fs");
  await tab.evaluate(readFileSync(axe, "utf8"));
  const { violations } = await tab.evaluate(() => globalThis.axe.run());
  looked.push(what);
  for (const { id, impact, nodes } of violations)
    if (["serious", "critical"].includes(impact))
      findings.push({
        what,
        id,
        impact,
        nodes: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`),
      });
}

async function lookOnPhone(phone, what) {
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) findings.push({ what, id: `${wide} pixels too wide` });
  await look(phone, what);
}

for (const colorScheme of ["light", "dark"]) {
  // Contrast would be measured during the fade-in, so animations are switched off.
  const screen = { colorScheme, reducedMotion: "reduce" };
  const studio = await open("/", screen);
  await look(studio, `door, ${colorScheme}`);
  await signIn(studio, given[colorScheme]);
  await studio.locator(".history-list li").first().waitFor();
  await look(studio, `studio, ${colorScheme}`);
  const id = await order(studio, picture());
  await reached(studio, "running");
  await look(studio, `running, ${colorScheme}`);
  await finish(id);
  await reached(studio, "done");
  await studio.locator(".history-row summary").first().click();
  await look(studio, `done, ${colorScheme}`);
  await studio.locator("a.balance").click();
  await studio.locator(".ledger-row").first().waitFor();
  await look(studio, `credits, ${colorScheme}`);
  await studio.getByRole("button", { name: "Get credits" }).click();
  await studio.locator(".pack").first().waitFor();
  await look(studio, `shop, ${colorScheme}`);
  await studio.context().close();

  const phone = await open("/", {
    ...screen,
    email: given[colorScheme],
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
  });
  await phone.locator(".history-row").first().waitFor();
  await lookOnPhone(phone, `phone, ${colorScheme}`);
  await phone.goto("/#credits");
  await phone.locator(".ledger-row").first().waitFor();
  await lookOnPhone(phone, `credits on a phone, ${colorScheme}`);
  await phone.goto("/admin");
  await phone.locator(".notice").waitFor();
  await look(phone, `not allowed, ${colorScheme}`);
  await phone.context().close();

  const admin = await open("/admin", { ...screen, email: "admin1@example.com" });
  await admin.locator("tr[data-job]").first().waitFor();
  await look(admin, `admin, ${colorScheme}`);
  await admin.locator("[data-cancel]").first().click();
  await look(admin, `question, ${colorScheme}`);
  await admin.getByRole("button", { name: "Back" }).click();
  await admin.locator("td .link").first().click();
  await admin.locator("tr[data-event]").first().waitFor();
  await look(admin, `a job, ${colorScheme}`);
  await admin.locator(".page-head a.link").first().click();
  await admin.locator("[data-balance]").waitFor();
  await look(admin, `a user, ${colorScheme}`);
  await admin.locator("[data-grant]").click();
  await look(admin, `credits to give, ${colorScheme}`);
  await admin.getByRole("button", { name: "Back" }).click();
  for (const name of ["Money", "Providers", "Tools", "Log"]) {
    await admin.getByRole("link", { name, exact: true }).click();
    await admin.locator("h1", { hasText: name }).waitFor();
    await look(admin, `${name}, ${colorScheme}`);
  }
  await admin.context().close();
}
await tell({ looked, findings });
