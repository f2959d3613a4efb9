// A long job: the page and the tab's title show how long it has been running and how long jobs
// usually take. The browser shows a notification, if the user asked for it by a click.

import { picture } from "../client/picture.mjs";
import { endAsAdmin } from "../client/stack.mjs";
import { finish, given, open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com", permissions: ["notifications"] });
await tab.addInitScript(() => {
  globalThis.told = [];
  globalThis.asked = 0;
  globalThis.Notification = class {
    static permission = "default";
    static async requestPermission() {
      globalThis.asked += 1;
      return (this.permission = "granted");
    }
    constructor(title) {
      globalThis.told.push(title);
    }
  };
});
await tab.reload();
await tab.locator(".tool-facts", { hasText: "Usually about" }).waitFor();
const facts = await tab.locator(".tool-facts").innerText();
const titles = [await tab.title()];
const id = await order(tab, picture());
await reached(tab, "waiting");
await tab.locator("[data-position='1']").waitFor();
titles.push(await tab.title());
await endAsAdmin(given.before);
await reached(tab, "running");
const usual = await tab.locator(".pace").innerText();
await tab.locator(".clock", { hasText: "0:01" }).waitFor();
titles.push(await tab.title());
const unasked = await tab.evaluate(() => globalThis.asked);
await tab.getByRole("button", { name: "Tell me when it is done" }).click();
await tab.getByText("We tell you when it is done").waitFor();

// After a reload the clock continues from the start of the work.
await tab.reload();
await reached(tab, "running");
const since = await tab.locator(".clock").innerText();
const address = new URL(tab.url()).search;
await tab.getByRole("button", { name: "Tell me when it is done" }).click();
await tab.getByText("We tell you when it is done").waitFor();
await tab.evaluate(() =>
  Object.defineProperty(document, "hidden", { value: true, configurable: true }),
);
await finish(id);
await reached(tab, "done");
titles.push(await tab.title());
const told = await tab.evaluate(() => globalThis.told);
await tell({ id, facts, titles, usual, since, address, unasked, told });
