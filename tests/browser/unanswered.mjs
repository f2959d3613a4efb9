// The answers to an order and to every query after it are lost. When the network is back, a click
// on the job shows that it was completed.

import { picture } from "../client/picture.mjs";
import { open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
await tab.route("**/runninghub-upscaler/run", async (route) => {
  await route.fetch();
  await route.abort();
});
await tab.route("**/runninghub-upscaler/queue-status?*", (route) => route.abort());
const id = await order(tab, picture());
await reached(tab, "failed");
const failed = await tab.locator(".stage-job").innerText();
await tab.unrouteAll();
await tab.locator(`.history-row[data-job="${id}"] .history-open`).click();
await reached(tab, "done");
await tell({ id, failed });
