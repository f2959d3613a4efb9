// The form keeps its values when the user changes the tool, shows them as code, and takes them from
// an earlier job. A text field counts its characters.

import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { png } from "../client/picture.mjs";
import { countUrls, open, reached, tell } from "./tab.mjs";

const tab = await open("/", {
  email: "user1@example.com",
  permissions: ["clipboard-read", "clipboard-write"],
});
const plain = (name) => ({ name, mimeType: "image/png", buffer: png(12, 9, () => [200, 60, 40]) });
const choose = (tool) => tab.locator(`.tool[data-tool="${tool}"]`).click();
const submit = tab.locator(".tool-form button[type=submit]");
const alts = (name) =>
  tab
    .locator(".drop", { has: tab.locator(`[name=${name}]`) })
    .locator("img")
    .evaluateAll((images) => images.map(({ alt }) => alt));

const count = await countUrls(tab);
await tab.locator("[name=imageUrl]").setInputFiles(plain("me.png"));
await tab.locator(".drop.filled").waitFor();
await tab.getByLabel("Description").fill("A bakery in Lisbon");
await choose("runninghub-pose-changer");
const kept = { person: await alts("personImageUrl"), reference: await alts("referenceImageUrl") };
await choose("generate-website");
kept.prompt = await tab.getByLabel("Description").inputValue();
await tab.getByLabel("Name of the website").fill("Padaria");
await choose("generate-php-website");
kept.siteName = await tab.getByLabel("Name of the website").inputValue();
await choose("runninghub-upscaler");
kept.picture = await alts("imageUrl");
const urls = await count();

await choose("generate-website");
const box = tab.getByLabel("Description");
const counter = tab.locator(".field", { has: box }).locator(".counter");
await box.fill("ä".repeat(10_003));
const counted = {
  text: await counter.innerText(),
  said: await tab.locator(".field-said").first().innerText(),
  length: (await box.inputValue()).length,
  isDisabled: await submit.isDisabled(),
};
await box.fill('A "bakery" in Lisbon: $5 & `tea`\nand cake');
counted.after = await counter.innerText();

await tab.getByRole("button", { name: "Code", exact: true }).click();
const code = {
  client: await tab.locator("[data-code=code_client] pre").innerText(),
  form: await tab.locator(".tool-form").isVisible(),
};
await tab.getByRole("button", { name: "Copy curl" }).click();
await tab.locator(".toast", { hasText: "Copied" }).waitFor();
const curl = await tab.evaluate(() => navigator.clipboard.readText());
const token = await tab.evaluate(
  () =>
    JSON.parse(Object.entries(localStorage).find(([name]) => name.endsWith("auth-token"))[1])
      .access_token,
);
const run = (text) =>
  promisify(execFile)("bash", ["-euc", text], { env: { ...process.env, TOKEN: token } });
const website = await run(curl);

// The same for an order with a file, which curl uploads first.
await choose("runninghub-upscaler");
await tab.getByRole("button", { name: "Code", exact: true }).click();
const upload = await tab.locator("[data-code=code_curl] pre").innerText();
code.file = await tab.locator("[data-code=code_client] pre").innerText();
const folder = await mkdtemp("/tmp/unstuck-form-");
await writeFile(`${folder}/me.png`, plain("").buffer);
const upscaled = await run(`cd ${folder}\n${upload}`);
const printed = ({ stdout }) => stdout.match(/"id":"([-0-9a-f]{36})"/)?.[1];

// After a reload, the input of an earlier job fills the form.
await tab.reload();
const row = tab.locator(`.history-row[data-job="${printed(website)}"]`);
await row.getByRole("button", { name: "Use again: Website" }).click();
const again = {
  tool: await tab.locator('.tool[aria-pressed="true"]').getAttribute("data-tool"),
  prompt: await tab.getByLabel("Description").inputValue(),
  siteName: await tab.getByLabel("Name of the website").inputValue(),
};
const other = tab.locator(`.history-row[data-job="${printed(upscaled)}"]`);
await other.locator(".badge.completed").waitFor();
await other.getByRole("button", { name: "Use again: Upscale" }).click();
await tab.locator(".drop.filled img").waitFor();
again.prompts = await tab.getByLabel("Description").inputValue();
await tab.locator(".tool-form button[type=submit]:not(.asking)").click();
await reached(tab, "done");
const id = await tab.locator(".stage-job").getAttribute("data-job");
await tell({
  kept,
  urls,
  counted,
  code,
  website: printed(website),
  upscaled: printed(upscaled),
  again,
  id,
});
