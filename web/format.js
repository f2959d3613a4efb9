// Numbers, times and errors in the reader's language.

import { language, number, t } from "./words.js";

export { number };

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const exactTimes = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const shortTimes = new Intl.DateTimeFormat(language, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** An amount with its sign: +100, −60. */
export const signed = (amount) => `${amount > 0 ? "+" : "−"}${number(Math.abs(amount))}`;

/** A time in seconds, in the largest unit that still tells enough: 42 s, 3 min, 2 h. */
export function duration(seconds) {
  const [size, unit] = unitFor(seconds);
  const format = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 };
  const value = Math.max(0, Math.round(seconds / size));
  return new Intl.NumberFormat(language, format).format(value);
}

function unitFor(seconds) {
  if (seconds < MINUTE) return [1, "second"];
  if (seconds < 1.5 * HOUR) return [MINUTE, "minute"];
  if (seconds < 2 * DAY) return [HOUR, "hour"];
  return [DAY, "day"];
}

/** A moment, given as text, in three forms. */
export function time(text) {
  const at = new Date(text);
  return { iso: at.toISOString(), exact: exactTimes.format(at), short: shortTimes.format(at) };
}

/** An error of the API in the reader's language, if we have words for it. */
export function explain({ code, message, details }) {
  const n = details?.required ?? details?.credits;
  return t.maybe(`error_${String(code).toLowerCase()}`, { n, ...details }) ?? message;
}

/** Why there is nothing to show: an empty list would say that all is well. */
export function unread({ message, code }) {
  if (/Failed to fetch|NetworkError|Load failed/.test(message)) return t("error_network");
  return t("read_failed", { why: message || code || t("error_network") });
}

/** A tool's name; one that has no words yet is shown by its own. */
export const toolName = (tool) => t.maybe(`tool_${tool}`) ?? tool;
