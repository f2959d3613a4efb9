// Files that no tool takes are refused with a reason before anything is uploaded. Accepted files
// can be removed one by one.

import { writeFile } from "node:fs/promises";
import { png } from "../client/picture.mjs";
import { countUrls, given, open, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const uploads = [];
tab.on("request", (request) => {
  if (request.url().includes("/storage/v1/object/upload/")) uploads.push(request.url());
});

const plain = (name) => ({ name, mimeType: "image/png", buffer: png(4, 3, () => [200, 60, 40]) });
const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from("ftypheic"), Buffer.alloc(64)]);
const large = Buffer.concat([plain("").buffer, Buffer.alloc(60 * 1024 * 1024)]);
const clip = Buffer.from(given.clip, "base64");
const bad = {
  heic: { name: "IMG_0001.HEIC", mimeType: "", buffer: heic },
  empty: { name: "empty.png", mimeType: "image/png", buffer: Buffer.alloc(0) },
  text: { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("not a picture") },
  video: { name: "clip.mp4", mimeType: "video/mp4", buffer: clip },
  large: { name: "large.png", mimeType: "image/png", buffer: large },
};

/** Drops files into an input as a mouse does. */
async function dropped(name, files) {
  const list = files.map(({ name: title, mimeType: type, buffer }) => ({
    title,
    type,
    data: buffer.toString("base64"),
  }));
  const data = await tab.evaluateHandle((parts) => {
    const transfer = new DataTransfer();
    for (const { title, type, data: text } of parts) {
      const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
      transfer.items.add(new File([bytes], title, { type }));
    }
    return transfer;
  }, list);
  const zone = tab.locator(".drop", { has: tab.locator(`[name=${name}]`) });
  await zone.dispatchEvent("drop", { dataTransfer: data });
  return zone;
}

const button = tab.locator(".tool-form button[type=submit]");
await button.waitFor();
const urls = await countUrls(tab);
const said = {};
for (const [what, file] of Object.entries(bad)) {
  // A file over 50 MB is chosen in the file dialog; the others are also dropped.
  const zone = tab.locator(".drop").first();
  if (what === "large") {
    const path = `${given.folder}/${file.name}`;
    await writeFile(path, file.buffer);
    await tab.locator("[name=imageUrl]").setInputFiles(path);
  } else await dropped("imageUrl", [file]);
  const words = zone.locator(".problem", { hasText: file.name });
  await words.waitFor();
  said[what] = await words.innerText();
}
const refused = {
  isDisabled: await button.isDisabled(),
  filled: await tab.locator(".drop.filled").count(),
};

await tab.locator('.tool[data-tool="runninghub-video-upscaler"]').click();
const video = await dropped("videoUrl", [plain("photo.png")]);
await video.locator(".problem").waitFor();
said.noVideo = await video.locator(".problem").innerText();

await tab.locator('.tool[data-tool="create-generation-job-banana"]').click();
const many = await dropped(
  "product",
  ["a", "b", "c", "d", "e"].map((name) => plain(`${name}.png`)),
);
await many.locator("li").nth(3).waitFor();
said.many = await many.locator(".problem").innerText();
const full = await tab.locator("[name=product]").isDisabled();
await many.getByRole("button", { name: "Remove b.png" }).click();
const left = await many.locator("img").evaluateAll((images) => images.map(({ alt }) => alt));
const focus = await tab.evaluate(() => document.activeElement.name);
await dropped("product", [
  plain("f.png"),
  { name: "empty.png", mimeType: "image/png", buffer: Buffer.alloc(0) },
]);
await many.locator("img[alt='f.png']").waitFor();
const mixed = await many.locator(".problem").innerText();
for (const name of ["a", "c", "d", "f"])
  await many.getByRole("button", { name: `Remove ${name}.png` }).click();
const emptied = await many.evaluate((zone) => zone.classList.contains("filled"));
await tell({ said, refused, full, left, focus, mixed, emptied, uploads, urls: await urls() });
