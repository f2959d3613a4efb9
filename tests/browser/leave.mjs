// Closes a tab while its job is in a given state. Where that cancels the job, ends once the cancel
// has arrived.

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
const stays = tab.waitForResponse("**/stay").catch(() => null);
const id = await order(tab, picture());
await reached(tab, given.state);
// From its answer the page knows that it may come back.
if (given.state === "waiting") await stays;
if (given.state === "uploading") await held;
// Another tab keeps the browser open, as it is for most people.
await tab.context().newPage();
await tab.close({ runBeforeUnload: true });
if (given.state === "uploading")
  await until(
    "the cancel has arrived",
    async () => (await rows(`cancelled_requests?job_id=eq.${id}`)).length,
  );
await tell({ id });
