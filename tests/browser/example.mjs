// The example app, served from an origin of its own: an order from the sign-in to the history, how
// often a page under StrictMode queries a resumed job, and what happens to a job whose user signs
// out.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { picture } from "../client/picture.mjs";
import { endAsAdmin } from "../client/stack.mjs";
import { finish, given, open, stack, tell, until } from "./tab.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
/** The number of queries for a running job before its work ends. */
const LOOKS = 4;

const server = createServer(({ url }, response) => {
  const { pathname } = new URL(url, "http://example.test");
  const file = pathname === "/" ? "/index.html" : pathname;
  response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  createReadStream(join(given.pages, file))
    .on("error", () => response.writeHead(404).end())
    .pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const app = `http://127.0.0.1:${server.address().port}`;

const tab = await open(`${app}/`, { visits: [app] });
// Without Realtime a job is queried at intervals only.
await tab.routeWebSocket(/realtime/, (socket) => socket.close());
await tab.reload();
/** Each query of a job's state: the job, and when it was asked and answered. */
const looks = [];
tab.on("request", (request) => {
  const job = /queue-status\?jobId=(.+)$/.exec(request.url())?.[1];
  if (!job) return;
  const look = { job, asked: Date.now() };
  looks.push(look);
  request.response().then(() => (look.answered = Date.now()));
});

async function signIn(email) {
  await tab.getByLabel("E-mail").fill(email);
  const { password } = stack.users.find((user) => user.email === email);
  await tab.getByLabel("Password").fill(password);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.locator("[data-balance]").waitFor();
}

/** Orders the offered tool and returns the job's id. */
async function order() {
  const before = await tab.locator("article").count();
  await tab
    .locator("[name=file]")
    .setInputFiles({ name: "in.png", mimeType: "image/png", buffer: picture() });
  await tab.getByRole("button", { name: "Order, 60 credits" }).click();
  await tab.locator("article").nth(before).waitFor();
  return tab.locator("article").first().getAttribute("data-job");
}

const card = (id) => tab.locator(`article[data-job="${id}"]`);
const reached = (id, state) =>
  tab.locator(`article[data-job="${id}"][data-state=${state}]`).waitFor();
const looksOf = (id) => looks.filter(({ job }) => job === id);
const lookedAt = (id, times) =>
  until(`${id} is asked for`, () => looksOf(id).filter((look) => look.answered)[times - 1]);

await signIn("user1@example.com");
const tools = await tab.getByRole("radio").allTextContents();
const id = await order();
const place = await card(id).locator("[data-position]").textContent();
for (const before of given.before) await endAsAdmin(before);
await reached(id, "running");
await tab.reload();
looks.length = 0;
await reached(id, "running");
await lookedAt(id, LOOKS);
// Two followers would query the job at the same moment, or one right after the other.
const all = looksOf(id).filter((look) => look.answered);
const pauses = all.slice(1).map((look, index) => look.asked - all[index].answered);
await finish(id);
await reached(id, "done");
const size = await card(id)
  .locator("img")
  .evaluate(async (image) => {
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  });
const charged = await tab.locator("[data-balance='940']").textContent();
await tab.locator(`.history [data-job="${id}"]`).waitFor();
const [download] = await Promise.all([
  tab.waitForEvent("download"),
  card(id).getByRole("button", { name: "Download" }).click(),
]);

// The user signs out while a job runs.
const left = await order();
await reached(left, "running");
await tab.getByRole("button", { name: "Sign out" }).click();
await tab.getByRole("button", { name: "Sign in" }).waitFor();
const before = looksOf(left).length;
await signIn("user2@example.com");
const strange = await tab.locator("article").count();
const next = await order();
await reached(next, "running");
await lookedAt(next, LOOKS);
await finish(next);
await reached(next, "done");
const afterSignOut = looksOf(left).length - before;
await tab.getByRole("button", { name: "Sign out" }).click();
await signIn("user1@example.com");
await reached(left, "running");
await finish(left);
await reached(left, "done");

server.close();
await tell({
  id,
  left,
  tools,
  place,
  size,
  charged,
  file: download.suggestedFilename(),
  leastPauseMs: Math.min(...pauses),
  strange,
  afterSignOut,
});
