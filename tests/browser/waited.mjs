// A user whose purchase waited until the e-mail address was confirmed has the credits and can order
// at once.

import { picture } from "../client/picture.mjs";
import { open, order, reached, tell } from "./tab.mjs";

const tab = await open("/", { email: "user1@example.com" });
const asked = tab.locator(".tool-form button[type=submit]:not(.asking)");
await asked.and(tab.locator("[data-price='60']")).waitFor();
await tab.locator("[data-balance]").filter({ hasText: "70" }).waitFor();
const offer = await asked.innerText();
const id = await order(tab, picture());
await reached(tab, "done");
await tab.locator("[data-balance]").filter({ hasText: /^10$/ }).waitFor();
await tell({ offer, id });
