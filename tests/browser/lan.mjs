// The studio on a phone in the same network, by plain http. The page is not a secure context, so
// the browser offers it less.

import { picture } from "../client/picture.mjs";
import { finish, open, order, reached, stack, tell } from "./tab.mjs";

const origin = `http://lan.test:${new URL(stack.url).port}`;
const tab = await open(`${origin}/`, { email: "user1@example.com", visits: [origin] });
const lacks = await tab.evaluate(() => [isSecureContext, typeof crypto.randomUUID]);
const id = await order(tab, picture());
await reached(tab, "running");
await finish(id);
await reached(tab, "done");
await tell({ id, lacks });
