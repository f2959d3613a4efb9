// How long a job has been at work, and how long jobs of its tool usually take.

import { h } from "../elements.js";
import { clock, duration } from "../format.js";
import { t } from "../words.js";
import { jobs as client } from "./jobs.js";

/** How many earlier jobs tell what is usual, and of how many at least. */
const [LOOKED_AT, ENOUGH] = [100, 2];

/** When a job began to wait or work, as this page knows; by id and state. */
const beginnings = new Map();
/** Seconds of the user's done jobs, newest first, by tool. */
const times = new Map();

/** Learns from the user's own jobs what is usual. */
export async function learn() {
  const { jobs } = await client.history({ status: "completed", limit: LOOKED_AT });
  times.clear();
  for (const { tool, startedAt, completedAt } of jobs) {
    const seconds = (Date.parse(completedAt) - Date.parse(startedAt)) / 1000;
    if (seconds >= 0) times.set(tool, [...(times.get(tool) ?? []), seconds]);
  }
}

/** What a job of the tool usually takes, in seconds; null where too little is known. */
export function usual(tool) {
  const sorted = (times.get(tool) ?? []).toSorted((a, b) => a - b);
  return sorted.length < ENOUGH ? null : Math.max(1, sorted[Math.floor(sorted.length / 2)]);
}

/**
 * Since when the job is in its state, by this page's clock. Of work that was at it before the page
 * was, the server's clock tells.
 */
export function begun({ id, state, startedAt }) {
  const key = `${id} ${state}`;
  const isWatched = ["uploading", "waiting"].some((before) => beginnings.has(`${id} ${before}`));
  const isOlder = state === "running" && !isWatched && startedAt;
  if (!beginnings.has(key)) beginnings.set(key, isOlder ? Date.parse(startedAt) : Date.now());
  return beginnings.get(key);
}

/** For how many seconds the job has been in its state. */
export const elapsed = (update) => Math.max(0, (Date.now() - begun(update)) / 1000);

/** A share that never says that the work is over. */
const expected = (seconds, whole) => Math.min(0.95, seconds / whole);

/** A line that counts the seconds, and a bar where it is known how many there usually are. */
export function pace(update) {
  const whole = usual(update.tool);
  const counted = h("strong", { class: "clock" });
  const about = whole && h("span", {}, t("usually", { time: duration(whole) }));
  const fill = h("div", { class: "bar-fill" });
  const tick = () => {
    const seconds = elapsed(update);
    counted.textContent = clock(seconds);
    if (whole) fill.style.width = `${expected(seconds, whole) * 100}%`;
  };
  tick();
  const timer = setInterval(() => (line.isConnected ? tick() : clearInterval(timer)), 1000);
  const line = h("p", { class: "pace muted" }, counted, about);
  const bar = whole && h("div", { class: "bar", "aria-hidden": "true" }, fill);
  return { line, bar };
}
