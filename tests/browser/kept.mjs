// The money by tool: the credits kept, the cost, and the margin.

import { given, open, tell } from "./tab.mjs";

const tab = await open("/admin/money", { email: "admin1@example.com" });
const line = await tab.locator(`tr[data-key="${given.tool}"]`).innerText();
await tell({ line });
