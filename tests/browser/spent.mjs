// The page has shown a price that the balance paid for; another tab of the same person has spent it
// since.

import { picture } from "../client/picture.mjs";
import { open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
await tab.route(
  "**/functions/v1/quote",
  (route) => route.fulfill({ json: { credits: 60, balance: 1000, enough: true, etaSeconds: 0 } }),
  { times: 2 },
);
await tab.reload();
await tab.locator(".tool-form button[data-price='60']:not(.asking)").waitFor();
const uploads = [];
tab.on("request", (request) => {
  if (request.url().includes("/storage/v1/object/upload/")) uploads.push(request.url());
});
await order(tab, picture());
await reached(tab, "failed");
const text = await tab.locator(".stage-job").innerText();
await tab.locator(".stage-job").getByRole("button", { name: "Get credits" }).click();
const shop = await tab.getByRole("dialog").innerText();
await tell({ text, shop, uploads: uploads.length });
