// From too few credits to the result: the form shows the missing credits before anything is
// uploaded, the user buys them at the checkout, and the form's values are kept. Then the page of
// credits.

import { picture } from "../client/picture.mjs";
import { open, reached, stack, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com", visits: [stack.providersUrl] });
const uploads = [];
tab.on("request", (request) => {
  if (request.url().includes("/storage/v1/object/upload/")) uploads.push(request.url());
});
const button = tab.locator(".tool-form button[type=submit]");
const asked = tab.locator(".tool-form button[type=submit]:not(.asking)");
const segment = (text) => tab.locator(".segments label", { hasText: text });

await asked.filter({ hasText: "Get 50 more credits" }).waitFor();
await segment("Pro").click();
await asked.filter({ hasText: "Get 80 more credits" }).waitFor();
await segment("Standard").click();
await asked.filter({ hasText: "Get 50 more credits" }).waitFor();
await segment("4096").click();
await tab
  .locator("[name=imageUrl]")
  .setInputFiles({ name: "in.png", mimeType: "image/png", buffer: picture() });
await tab.getByLabel("Description").fill("Keep the grain");
const poor = await tab.locator(".offer").innerText();
await asked.filter({ hasText: "Get 50 more credits" }).click();
const shop = tab.getByRole("dialog");
const packs = await shop.innerText();
const fitting = await shop.locator(".pack.fits").getAttribute("data-pack");
await shop.locator("[data-pack=small]").click();
await tab.waitForURL((url) => url.href.startsWith(stack.providersUrl));
await tab.getByRole("button", { name: "Pay" }).click();

await tab.locator("header.top").waitFor();
await tab.locator("[data-balance]").filter({ hasText: "110" }).waitFor();
const arrived = await tab.locator(".toast", { hasText: "Your credits are here." }).count();
const back = {
  address: await tab.evaluate(() => location.pathname + location.search),
  resolution: await tab.locator("[name=resolution]:checked").inputValue(),
  prompt: await tab.locator("[name=prompt]").inputValue(),
  pictures: await tab.locator(".drop.filled img").count(),
  uploads: uploads.length,
};
await tab.locator(".tool-form button[data-price='60']:not(.asking)").click();
await reached(tab, "done");
const id = await tab.locator(".stage-job").getAttribute("data-job");

await tab.locator("[data-balance]").filter({ hasText: "50" }).waitFor();
await asked.filter({ hasText: "Get 10 more credits" }).waitFor();

await tab.locator("a.balance").click();
await tab.locator(".ledger-row").first().waitFor();
const heading = await tab.locator("main:not([hidden]) h1").innerText();
const focus = await tab.evaluate(() => document.activeElement.tagName);
const title = await tab.title();
const rows = await tab.locator(".ledger-row").allInnerTexts();
await tab.goBack();
await button.waitFor();
const studio = {
  address: await tab.evaluate(() => location.hash),
  prompt: await tab.locator("[name=prompt]").inputValue(),
  focus: await tab.evaluate(() => document.activeElement.className),
};
await tab.goForward();
await tab.locator("main.credits").waitFor();
await tell({
  poor,
  packs,
  fitting,
  arrived,
  back,
  id,
  ledger: { heading, focus, title, rows },
  studio,
});
