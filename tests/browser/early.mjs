// A user orders before the page has read which jobs are live. The job is followed once, and its end
// is notified once.

import { picture } from "../client/picture.mjs";
import { finish, open, order, reached, signIn, tell } from "./tab.mjs";

const tab = await open("/");
await tab.evaluate(() => localStorage.setItem("unstuck-notices", "on"));
await tab.addInitScript(() => {
  globalThis.told = [];
  globalThis.Notification = class {
    static permission = "granted";
    constructor(title) {
      globalThis.told.push(title);
    }
  };
});
await tab.reload();
const asksWhatRuns = ({ pathname, search }) =>
  pathname.endsWith("/rest/v1/jobs") && search.includes("status=in");
let goOn;
const ordered = new Promise((resolve) => (goOn = resolve));
await tab.route(asksWhatRuns, async (route) => {
  await ordered;
  await route.continue();
});
await signIn(tab, "user1@example.com");
const id = await order(tab, picture());
await reached(tab, "running");
const resumed = tab.waitForResponse((response) => asksWhatRuns(new URL(response.url())));
goOn();
await (await resumed).finished();
// The page is hidden, so that it sends a notification.
await tab.evaluate(() =>
  Object.defineProperty(document, "hidden", { value: true, configurable: true }),
);
await finish(id);
await reached(tab, "done");
const told = await tab.evaluate(() => globalThis.told);
await tell({ id, told });
