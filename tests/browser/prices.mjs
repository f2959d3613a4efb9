// The price on the button follows the chosen options, and a late answer for an older choice does
// not replace it. While no price is known, nothing can be ordered. Then comes an order whose price
// has changed since it was shown.

import { picture } from "../client/picture.mjs";
import { open, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const button = tab.locator(".tool-form button[type=submit]");
const shown = async (price) => {
  await tab.locator(`.tool-form button[data-price="${price}"]:not(.asking)`).waitFor();
  return button.innerText();
};
const choose = (text) => tab.locator(".segments label", { hasText: text }).click();
const quotes = "**/functions/v1/quote";

const chosen = [await shown(60)];
const tools = await tab.locator(".tool").allInnerTexts();
await choose("Pro");
chosen.push(await shown(90));
await choose("8192");
chosen.push(await shown(150));
await choose("Standard");
chosen.push(await shown(90));
await choose("2048");
await shown(60);

// The answer for Pro is held back until the answer for Standard has arrived.
let release;
const held = new Promise((resolve) => (release = resolve));
await tab.route(quotes, async (route) => {
  if (route.request().postData().includes('"pro"')) await held;
  await route.continue();
});
const late = tab.waitForRequest((request) => request.postData()?.includes('"pro"'));
await choose("Pro");
const answered = (await late).response();
await choose("Standard");
await shown(60);
release();
await answered;
const newest = await shown(60);
await tab.unroute(quotes);

// The page shows 30; the order costs 60.
await tab.route(quotes, (route) =>
  route.fulfill({ json: { credits: 30, balance: 1000, enough: true, etaSeconds: 0 } }),
);
await choose("1024");
await shown(30);
await tab
  .locator("[name=imageUrl]")
  .setInputFiles({ name: "in.png", mimeType: "image/png", buffer: picture() });
await button.click();
await reached(tab, "failed");
const changed = await tab.locator(".stage-job").innerText();
await tab.unroute(quotes);
await tab.getByRole("button", { name: "Order for 60 credits" }).click();
await reached(tab, "done");
const id = await tab.locator(".stage-job").getAttribute("data-job");

// Without an answer the button is disabled, and the page retries the quote.
await tab.route(quotes, (route) => route.abort());
await choose("4096");
await tab.locator('.tool-form button[data-price=""]:not(.asking)').waitFor();
const unknown = await button.innerText();
const off = {
  isDisabled: await button.isDisabled(),
  said: await tab.locator(".offer-note").innerText(),
};
await tab.unroute(quotes);
await shown(60);
await button.click();
await tab.locator(`.stage-job[data-state=done]:not([data-job="${id}"])`).waitFor();
const other = await tab.locator(".stage-job").getAttribute("data-job");
await tell({ tools, chosen, newest, changed, unknown, off, ids: [id, other] });
