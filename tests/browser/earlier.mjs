// Earlier jobs are found by tool, by status, by words and page by page. Each has a URL of its own,
// which opens in a new tab too. A tool that the page has no words for is shown by its id.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const rows = tab.locator(".history-row");
const count = async (number) => {
  await rows.nth(number - 1).waitFor();
  await tab.waitForFunction((n) => document.querySelectorAll(".history-row").length === n, number);
  return number;
};
const names = () => rows.locator("strong").allTextContents();
await count(10);
const days = await tab.locator(".history-day").allInnerTexts();
const more = tab.getByRole("button", { name: "Show more" });
await more.click();
const second = await count(20);
await more.click();
await count(30);
await more.click();
const whole = await count(given.all);
const isOver = await more.isHidden();

await tab.getByLabel("Tool", { exact: true }).last().selectOption("generate-website");
await count(given.websites);
const websites = [...new Set(await names())];
await tab.getByLabel("Status").selectOption("failed");
await count(given.failed);
const failed = [...new Set(await rows.locator(".badge").allTextContents())];
await tab.getByLabel("Status").selectOption("");
await tab.getByLabel("Search").fill("lemon tart");
await count(1);
const found = await rows.first().innerText();
await tab.getByLabel("Search").fill("no such thing");
await tab.getByText("No job matches.").waitFor();
await tab.getByLabel("Search").fill("lemon tart");
await count(1);

await rows.first().locator(".history-open").click();
const stage = tab.locator(".stage-job");
await tab.locator(`.stage-job[data-job="${given.tart}"]`).waitFor();
const address = new URL(tab.url()).search;
await tab.goBack();
const back = new URL(tab.url()).search;
await tab.locator(".stage-empty").waitFor();
await tab.goForward();
const other = await tab.context().newPage();
await other.goto(`/${address}`);
await other.locator(`.stage-job[data-job="${given.tart}"][data-state=failed]`).waitFor();
const opened = await other.locator(".stage-job").innerText();
await other.goto("/?job=00000000-0000-4000-8000-000000000000");
const toast = await other.locator(".toast").innerText();
await other.goto(`/?job=${given.foreign}`);
const foreign = await other.locator(".toast").innerText();

const wordless = await tab.context().newPage();
await wordless.route("**/words/en.js", async (route) => {
  const words = await (await route.fetch()).text();
  const body = words.replaceAll(/"(tool|about|do)_generate-website":/g, '"old_$1":');
  await route.fulfill({ body, contentType: "text/javascript" });
});
await wordless.goto(`/${address}`);
await wordless.locator(`.stage-job[data-job="${given.tart}"][data-state=failed]`).waitFor();
const spoken = await wordless.locator(".show > [role=status]").textContent();
await wordless.locator(".tool[data-tool=generate-website]").click();
const unnamed = await wordless.locator(".tool-form button[type=submit]").innerText();
await tell({
  days,
  second,
  whole,
  isOver,
  websites,
  failed,
  found,
  address,
  back,
  shown: await stage.getAttribute("data-job"),
  opened,
  toast,
  foreign,
  spoken,
  unnamed,
});
