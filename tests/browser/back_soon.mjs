// A page is reloaded while its job waits. The job keeps its position and ends on the reloaded page.

import { picture } from "../client/picture.mjs";
import { endAsAdmin } from "../client/stack.mjs";
import { finish, given, open, order, reached, rows, tell, until } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const stays = tab.waitForResponse("**/stay");
const id = await order(tab, picture());
await reached(tab, "waiting");
await stays;
const [before] = await rows("sessions");
await tab.reload();
await reached(tab, "waiting");
const found = await tab.locator(".stage-job").getAttribute("data-job");
// The reloaded page revokes the `leave-session` of the page before it.
const kept = await until("the page has come back", async () => {
  const [{ left_at, seen_at }, ...more] = await rows("sessions");
  const silence = (Date.parse(left_at) - Date.parse(seen_at)) / 1000;
  const isNew = seen_at > before.seen_at;
  return isNew && silence > 100 && { sessions: 1 + more.length, silence: Math.round(silence) };
});
await endAsAdmin(given.before);
await reached(tab, "running");
await finish(id);
await reached(tab, "done");
await tell({ id, found, kept });
