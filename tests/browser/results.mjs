// The user looks at results and saves them: a website that was ordered by a double click, cards one
// by one and all at once, and a picture under a name of its own.

import { readFile } from "node:fs/promises";
import { picture, png } from "../client/picture.mjs";
import { open, order, problems, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com", acceptDownloads: true });

/** The name and the bytes of the file that a click saves. */
async function saved(element) {
  const [download] = await Promise.all([tab.waitForEvent("download"), element.click()]);
  const bytes = await readFile(await download.path());
  return { name: download.suggestedFilename(), bytes };
}

/** The names of the files in an archive, as its directory lists them. */
function names({ bytes }) {
  const found = [];
  for (let at = bytes.indexOf("PK\x01\x02"); at >= 0; at = bytes.indexOf("PK\x01\x02", at + 4)) {
    const length = bytes.readUInt16LE(at + 28);
    found.push(bytes.toString("utf8", at + 46, at + 46 + length));
  }
  return found;
}

const stage = tab.locator(".stage-job");
const choose = (tool) => tab.locator(`.tool[data-tool="${tool}"]`).click();
const submit = tab.locator(".tool-form button[type=submit]");

await choose("generate-website");
await tab.getByLabel("Description").fill("A bakery in Lisbon");
// A double click orders once.
await submit.dblclick();
await reached(tab, "done");
const inner = tab.frameLocator("iframe.preview").frameLocator("iframe");
await inner.locator("#status", { hasText: "ready" }).waitFor();
const preview = await inner.locator("body").evaluate((body) => ({
  heading: body.querySelector("h1").textContent,
  styled: document.querySelectorAll("style").length,
  origin: self.origin,
  // A script of the website tries to reach the session.
  session: (() => {
    try {
      return parent.parent.localStorage.length;
    } catch (error) {
      return error.name;
    }
  })(),
  storage: (() => {
    try {
      return localStorage.length;
    } catch (error) {
      return error.name;
    }
  })(),
}));
const called = await inner.locator("body").evaluate(() =>
  fetch("/config.json").then(
    () => "answered",
    () => "refused",
  ),
);
const blocked = problems.splice(0).filter((problem) => problem.includes("/config.json"));
const site = await saved(stage.getByRole("button", { name: "Download ZIP" }));
await stage.getByRole("button", { name: "Files" }).click();
const files = await stage.locator(".file-name").allTextContents();

// The same form orders a second job without a reload.
const first = await stage.getAttribute("data-job");
await submit.click();
await tab.locator(`.stage-job[data-state=done]:not([data-job="${first}"])`).waitFor();

await choose("create-generation-job-banana");
const product = { name: "in.png", mimeType: "image/png", buffer: png(12, 9, () => [9, 90, 200]) };
await tab.locator("[name=product]").setInputFiles(product);
await tab.locator("[name=productName]").fill("Cup");
await tab.locator(".chips label", { hasText: "Details" }).click();
await tab.locator(".chips label", { hasText: "What is included" }).click();
await submit.click();
await tab.locator(".stage-job[data-state=done] .card").first().waitFor();
const cards = await stage.locator(".card figcaption span").allTextContents();
const one = await saved(stage.locator(".card a[download]").nth(1));
const all = await saved(stage.getByRole("button", { name: "All (ZIP)" }));
await stage.locator(".card-open").first().click();
const dialog = tab.getByRole("dialog");
await dialog.waitFor();
const large = [await dialog.locator("h2").innerText()];
await tab.keyboard.press("ArrowRight");
large.push(await dialog.locator("h2").innerText());
await tab.keyboard.press("Escape");
await dialog.waitFor({ state: "hidden" });
const cardJob = await stage.getAttribute("data-job");

await choose("runninghub-upscaler");
await order(tab, picture());
await reached(tab, "done");
const upscaled = await saved(stage.getByRole("link", { name: "Download" }));
await tell({
  preview: { ...preview, called, blocked: blocked.length > 0 },
  site: { name: site.name, names: names(site) },
  files,
  cards,
  cardJob,
  large,
  one: { name: one.name, begins: one.bytes.toString("hex", 0, 3) },
  all: { name: all.name, names: names(all), bytes: all.bytes.length },
  upscaled: upscaled.name,
});
