// What the user reads when credits are missing, when a waiting job is cancelled, and when a job
// fails.

import { picture } from "../client/picture.mjs";
import { given, open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const id = await order(tab, picture());
if (given.cancel) {
  await reached(tab, "waiting");
  await tab.getByRole("button", { name: "Cancel" }).click();
}
await reached(tab, given.state);
await tell({ id, text: await tab.locator(".stage-job").innerText() });
