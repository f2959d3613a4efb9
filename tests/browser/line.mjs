// Uploads while the network is down, and over a connection that stalls.

import { openBare } from "./bare.mjs";
import { stack, tell } from "./tab.mjs";

const STALL_MS = 30_000;
const tab = await openBare(stack.url, "user1@example.com");
const run = (name) =>
  tab.evaluate(async (name) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 12, height: 9 });
    canvas.getContext("2d").fillRect(0, 0, 6, 9);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    const job = globalThis.jobs.run("runninghub-upscaler", { file: blob });
    globalThis[name] = job;
    const ended = job.result.then(
      () => "done",
      ({ code }) => code,
    );
    globalThis[`${name}Ended`] = ended;
  }, name);
const state = (name) => tab.evaluate((name) => globalThis[name].update.state, name);
const ended = (name) => tab.evaluate((name) => globalThis[`${name}Ended`], name);

await tab.context().setOffline(true);
await run("early");
const whileOffline = await state("early");
await tab.context().setOffline(false);
const early = await ended("early");

let puts = 0;
let holding;
const held = new Promise((resolve) => (holding = resolve));
await tab.route("**/object/upload/sign/**", (route) => {
  if (route.request().method() !== "PUT") return route.continue();
  puts += 1;
  return puts === 1 ? holding() : route.continue();
});
await tab.clock.install();
await run("stalled");
await held;
const whileStalled = await state("stalled");
// Moves the clock past the time after which an upload counts as stalled.
await tab.clock.fastForward(STALL_MS);
const stalled = await ended("stalled");
await tell({ whileOffline, early, whileStalled, stalled, puts });
