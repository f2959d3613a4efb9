// From the sign-in to the result, behind another user in the queue; then the pixels are compared.

import { picture } from "../client/picture.mjs";
import { endAsAdmin } from "../client/stack.mjs";
import { countUrls, finish, given, open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const before = await tab.locator("[data-balance]").filter({ hasText: "1,000" }).textContent();
const count = await countUrls(tab);
const id = await order(tab, picture());
await reached(tab, "waiting");
const urls = await count();
const position = await tab.locator("[data-position]").getAttribute("data-position");
const charged = await tab.locator("[data-balance]").filter({ hasText: "940" }).textContent();
await endAsAdmin(given.before);
await reached(tab, "running");
await finish(id);
await reached(tab, "done");
const pixels = await tab.evaluate(async () => {
  const image = async (name) => {
    const element = document.querySelector(`.compare .${name}`);
    await element.decode();
    return element;
  };
  const [before, after] = [await image("before"), await image("after")];
  const [width, height] = [before.naturalWidth, before.naturalHeight];
  // The result, scaled down, must show the same picture as the input.
  const colours = (source) => {
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.imageSmoothingQuality = "high";
    canvas.drawImage(source, 0, 0, width, height);
    return canvas.getImageData(0, 0, width, height).data;
  };
  const [a, b] = [colours(before), colours(after)];
  const difference =
    a.reduce((sum, value, index) => sum + Math.abs(value - b[index]), 0) / a.length;
  return { before: [width, height], after: [after.naturalWidth, after.naturalHeight], difference };
});
const slider = tab.getByLabel("Compare before and after");
await slider.focus();
await tab.keyboard.press("Home");
const split = await tab
  .locator(".compare")
  .evaluate((frame) => frame.style.getPropertyValue("--split"));
const shown = await tab.locator(".compare-size").textContent();
await tab.locator(`.history-row[data-job="${id}"] summary`).click();
const entries = tab.locator(`.history-row[data-job="${id}"] tbody tr`);
await entries.first().waitFor();
const receipt = await entries.allTextContents();
await tell({ id, before, urls, position, charged, pixels, split, shown, receipt });
