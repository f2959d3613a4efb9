// How long a job has been running, and how long jobs of its tool usually take.

import { h } from "../elements.js";
import { clock, duration } from "../format.js";
import { t } from "../words.js";
import { jobs as client } from "./jobs.js";

/** The number of earlier jobs that are read, and the number that a tool needs for an estimate. */
const [LOOKED_AT, ENOUGH] = [100, 2];

/** The time since when this page has seen a job in a state, by job id and state. */
const beginnings = new Map();
/** The durations of the user's completed jobs in seconds, newest first, by tool. */
const times = new Map();

/** Reads the durations of the user's own jobs. */
export async function learn() {
  const { jobs } = await client.history({ status: "completed", limit: LOOKED_AT });
  times.clear();
  for (const { tool, startedAt, completedAt } of jobs) {
    const seconds = (Date.parse(completedAt) - Date.parse(startedAt)) / 1000;
    if (seconds >= 0) times.set(tool, [...(times.get(tool) ?? []), seconds]);
  }
}

/** The median duration of a tool's jobs, in seconds; null if there are too few jobs. */
export function usual(tool) {
  const sorted = (times.get(tool) ?? []).toSorted((a, b) => a - b);
  return sorted.length < ENOUGH ? null : Math.max(1, sorted[Math.floor(sorted.length / 2)]);
}

/**
 * The time since when the job has been in its state, by the browser's clock. If the job was already
 * running when the page opened, it is the server's start time.
 */
export function begun({ id, state, startedAt }) {
  const key = `${id} ${state}`;
  const isWatched = ["uploading", "waiting"].some((before) => beginnings.has(`${id} ${before}`));
  const isOlder = state === "running" && !isWatched && startedAt;
  if (!beginnings.has(key)) beginnings.set(key, isOlder ? Date.parse(startedAt) : Date.now());
  return beginnings.get(key);
}

/** The number of seconds that the job has been in its state. */
export const elapsed = (update) => Math.max(0, (Date.now() - begun(update)) / 1000);

/** The expected progress, from 0 to 0.95: it never claims that the job is finished. */
const expected = (seconds, whole) => Math.min(0.95, seconds / whole);

/** A line that counts the seconds, and a progress bar if the usual duration is known. */
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
