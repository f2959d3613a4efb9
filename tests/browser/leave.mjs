// Closes a tab while its job is in a given state. Where closing gives the job up, ends once that has
// arrived.

import { picture } from "../client/picture.mjs";
import { given, open, order, reached, rows, tell, until } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
let holding;
const held = new Promise((resolve) => (holding = resolve));
// An upload that hangs, as on a train.
if (given.state === "uploading")
  await tab.route("**/object/upload/sign/**", (route) =>
    route.request().method() === "PUT" ? holding() : route.continue(),
  );
const id = await order(tab, picture());
await reached(tab, given.state);
if (given.state === "uploading") await held;
// Another tab keeps the browser open, as it is for most people.
await tab.context().newPage();
await tab.close({ runBeforeUnload: true });
const goodbyes = {
  uploading: `cancelled_requests?job_id=eq.${id}`,
  waiting: "sessions?seen_at=not.is.null",
};
const goodbye = goodbyes[given.state];
if (goodbye) await until("the goodbye has arrived", async () => (await rows(goodbye))[0]);
await tell({ id });
