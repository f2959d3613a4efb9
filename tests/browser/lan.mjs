// The studio on a phone of the same network, by plain http: not secure, so that much is missing.

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
