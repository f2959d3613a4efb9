// The job's own page says why it waits.

import { given, open, tell } from "./tab.mjs";

const tab = await open(`/admin/jobs/${given.job}`, { email: "admin1@example.com" });
const why = await tab.locator("[data-why]").innerText();
await tell({ why });
