// The list is refreshed ten times while an admin has the focus in a row and an id selected. A new
// job that arrives in between must not move the rows.

import { createJobs } from "../../web/client.js";
import { picture } from "../client/picture.mjs";
import { client, signIn } from "../client/stack.mjs";
import { given, open, tell } from "./tab.mjs";

const EVERY_MS = 10_000;
const tab = await open("/admin/jobs", { email: "admin1@example.com" });
await tab.clock.install({ time: Date.now() });
let reads = 0;
tab.on("requestfinished", (request) => {
  if (/\/rest\/v1\/jobs\?.*offset=0/.test(request.url())) reads += 1;
});
await tab.reload();
const row = tab.locator(`tr[data-job="${given.job}"]`);
await row.waitFor();
await row.locator("[data-cancel]").focus();
await row
  .locator("a.code")
  .first()
  .evaluate((element) => getSelection().selectAllChildren(element));
const look = () =>
  tab.evaluate(
    (job) => ({
      focus: document.activeElement.dataset.cancel ?? document.activeElement.tagName,
      selected: String(getSelection()),
      top: document.querySelector(`tr[data-job="${job}"]`).getBoundingClientRect().top,
      rows: [...document.querySelectorAll("tr[data-job]")].map((element) => element.dataset.job),
    }),
    given.job,
  );
const before = await look();

const supabase = client();
await signIn(supabase, "user2@example.com");
const order = createJobs(supabase, { pollMs: 100 }).run("runninghub-upscaler", {
  file: new File([picture()], "in.png", { type: "image/png" }),
});
await new Promise((resolve) =>
  order.subscribe(({ state }) => ["waiting", "running"].includes(state) && resolve()),
);
const seen = [];
for (let turn = 1; turn <= 10; turn += 1) {
  const wanted = reads + 1;
  await tab.clock.runFor(EVERY_MS + 100);
  while (reads < wanted) await new Promise((resolve) => setTimeout(resolve, 20));
  await tab.locator(".fresh").waitFor();
  seen.push(await look());
}
const fresh = await tab.locator(".fresh").innerText();
await tab.locator(".fresh").click();
await tab.locator(`tr[data-job="${order.id}"]`).waitFor();
await tell({ before, seen, fresh, first: (await look()).rows[0], ordered: order.id });
process.exit(0);
