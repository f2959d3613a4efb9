// A page that is reloaded while its job runs finds the job, and then the result.

import { picture } from "../client/picture.mjs";
import { finish, open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const id = await order(tab, picture());
await reached(tab, "running");
await tab.reload();
await reached(tab, "running");
const found = await tab.locator(".stage-job").getAttribute("data-job");
await finish(id);
await reached(tab, "done");
const done = await tab.locator(".stage-job").getAttribute("data-job");
await tell({ id, found, done });
