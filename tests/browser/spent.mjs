// The page shows a price that the balance pays for, but another tab of the same user has spent the
// credits since.

import { picture } from "../client/picture.mjs";
import { open, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const price = { credits: 60, lowest: 60, unmeasured: null, balance: 1000, enough: true };
let isSpent = false;
await tab.route("**/functions/v1/quote", (route) =>
  isSpent ? route.continue() : route.fulfill({ json: { ...price, etaSeconds: 0 } }),
);
await tab.reload();
await tab.locator(".tool-form button[data-price='60']:not(.asking)").waitFor();
const uploads = [];
tab.on("request", (request) => {
  if (request.url().includes("/storage/v1/object/upload/")) uploads.push(request.url());
});
await tab
  .locator("[name=imageUrl]")
  .setInputFiles({ name: "in.png", mimeType: "image/png", buffer: picture() });
isSpent = true;
await tab.locator(".tool-form button[type=submit]").click();
await reached(tab, "failed");
const text = await tab.locator(".stage-job").innerText();
await tab.locator(".stage-job").getByRole("button", { name: "Get credits" }).click();
const shop = await tab.getByRole("dialog").innerText();
await tell({ text, shop, uploads: uploads.length });
