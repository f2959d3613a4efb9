// Orders every tool by its own form, then reads what the page shows of the result.

import { png } from "../client/picture.mjs";
import { given, open, tell } from "./tab.mjs";

const plain = (name, colour) => ({ name, mimeType: "image/png", buffer: png(12, 9, () => colour) });
const two = [plain("first.png", [200, 60, 40]), plain("second.png", [40, 60, 200])];
const clip = { name: "clip.mp4", mimeType: "video/mp4", buffer: Buffer.from(given.clip, "base64") };

/** Fills every input and text of the form. */
async function fill(form) {
  for (const input of await form.locator("input[type=file]").all()) {
    const video = (await input.getAttribute("accept")) === "video/*";
    const many = (await input.getAttribute("multiple")) !== null;
    await input.setInputFiles(video ? clip : many ? two : two[0]);
  }
  for (const field of await form.locator("input:not([type]), textarea").all())
    await field.fill("A bakery in Lisbon");
}

/** The size of a picture or video, after it was decoded. */
const size = (element) =>
  element.evaluate(async (media) => {
    if (media instanceof HTMLImageElement) {
      await media.decode();
      return [media.naturalWidth, media.naturalHeight];
    }
    if (media.readyState < 2)
      await new Promise((resolve, reject) =>
        Object.assign(media, { onloadeddata: resolve, onerror: () => reject(media.error) }),
      );
    return [media.videoWidth, media.videoHeight];
  });

const tab = await open("/", { email: "user1@example.com" });
const seen = {};
for (const tool of given.tools) {
  await tab.locator(`.tool[data-tool="${tool}"]`).click();
  const form = tab.locator(".tool-form");
  await fill(form);
  const cost = await form.locator("[type=submit]:not(.asking) .cost").textContent();
  await form.locator("button[type=submit]").click();
  const id = await tab.locator(".stage-job").getAttribute("data-job");
  await tab.locator(`.stage-job[data-job="${id}"][data-state=done]`).waitFor();
  const pictures = tab.locator(".stage-job").locator(".compare .after, video.result, .cards img");
  const shown = await tab.locator(".stage-job .file-name").allTextContents();
  for (const element of await pictures.all()) shown.push(await size(element));
  seen[tool] = { id, cost, shown };
}
// After a reload, the job has a row in the history and can be opened from there.
await tab.reload();
for (const [tool, { id }] of Object.entries(seen)) {
  const row = tab.locator(`.history-row[data-job="${id}"]`);
  await row.waitFor();
  const thumb =
    (await row.locator(".thumb img").count()) === 1 ? await size(row.locator(".thumb img")) : null;
  await row.locator(".history-open").click();
  const stage = tab.locator(`.stage-job[data-job="${id}"][data-state=done]`);
  await stage.waitFor();
  const opened = {
    files: await stage.locator(".file-name").allTextContents(),
    downloads: await stage.locator("a[download]").count(),
  };
  Object.assign(seen[tool], { thumb, opened });
}
await tell({ seen });
