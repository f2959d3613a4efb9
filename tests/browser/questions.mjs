// Tiles, alarms and circuits link to the operator's questions, which the page answers. A job links
// to its logs, and a retry takes a reason.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin", { email: "admin1@example.com" });
await tab.locator("[data-tile=debts]").waitFor();
const tiles = await tab
  .locator(".tile-cell")
  .evaluateAll((cells) =>
    cells.map((cell) => [
      cell.querySelector("[data-tile]").dataset.tile,
      cell.querySelector("[data-question]").dataset.question,
    ]),
  );
await tab
  .locator(".tile-cell", { has: tab.locator("[data-tile=stuck]") })
  .getByRole("link", {
    name: "What to do: question 3",
  })
  .click();
const stuck = await tab.locator("h1").innerText();
const at = new URL(tab.url()).pathname;
await tab.goBack();
await tab.locator("[data-tile=stuck]").waitFor();

await tab.goto("/admin/providers");
await tab.locator("#runninghub").waitFor();
const provider = await tab.locator("#runninghub").innerText();
const marks = await tab
  .locator("#runninghub [data-question]")
  .evaluateAll((links) => links.map((link) => link.dataset.question));

await tab.goto("/admin/questions");
await tab.locator("ol a").last().waitFor();
const questions = await tab.locator("ol a").count();
const answers = [];
for (let number = 1; number <= questions; number += 1) {
  await tab.goto(`/admin/questions/${number}`);
  await tab.locator(".answer").waitFor();
  answers.push({
    title: await tab.locator("h1").innerText(),
    queries: await tab.locator(".answer pre").allInnerTexts(),
    text: await tab.locator(".answer").innerText(),
  });
}

await tab.goto(`/admin/jobs/${given.job}`);
const logs = tab.locator("[data-logs]");
await logs.waitFor();
const told = { text: await logs.innerText(), href: await logs.getAttribute("href") };
await tab.locator("[data-retry]").click();
const dialog = tab.getByRole("dialog");
await dialog.getByLabel("Reason").fill("the user asked");
await dialog.locator("button[type=submit]").click();
await tab.locator(".toast").first().waitFor();
await tell({ tiles, stuck, at, provider, marks, questions, answers, told });
