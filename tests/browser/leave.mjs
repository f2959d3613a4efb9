// Closes a tab while its job is in a given state, and waits until the tab's last request has
// arrived: it would be lost if the browser ended before.

import { picture } from "../client/picture.mjs";
import { given, open, order, reached, rows, tell, until } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
// The upload hangs, as on a train. A route of the browser could hold it back too, but it would
// also stop the tab's last request, which is lost if the tab is gone before the route lets it pass.
if (given.state === "uploading")
  await tab.evaluate(() => {
    XMLHttpRequest.prototype.send = () => (globalThis.isUploading = true);
  });
const stays = tab.waitForResponse("**/stay").catch(() => null);
const id = await order(tab, picture());
await reached(tab, given.state);
// The `stay` request must not arrive after the `leave-session`.
if (given.state === "waiting") {
  await (await stays)?.finished();
  await tab.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
}
if (given.state === "uploading") await tab.waitForFunction(() => globalThis.isUploading);
// Another tab keeps the browser open, as usual.
await tab.context().newPage();
await tab.close({ runBeforeUnload: true });
const cancels = async () => (await rows(`cancelled_requests?job_id=eq.${id}`)).length;
const goodbyes = async () => {
  const sessions = await rows("sessions?select=seen_at,left_at");
  return sessions.some((said) => Date.parse(said.left_at) - Date.parse(said.seen_at) < 60_000);
};
if (given.state === "uploading") await until("the cancel has arrived", cancels);
if (given.state === "waiting") await until("the goodbye has arrived", goodbyes);
await tell({ id });
