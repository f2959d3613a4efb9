// Formats numbers, times and errors in the user's language.

import { inWords, language, number, t } from "./words.js";

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

/** An amount of credits with its sign: +100, −60. */
export const signed = (amount) => `${amount > 0 ? "+" : "−"}${number(Math.abs(amount))}`;

/** A duration in seconds, rounded to one unit: 42 s, 3 min, 2 h. */
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

/** A duration in seconds, as on a stopwatch: 0:23, 1:02:03. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  const rest = String(whole % MINUTE).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A file size in bytes, as megabytes. */
export function megabytes(bytes) {
  const format = { style: "unit", unit: "megabyte", maximumFractionDigits: 0 };
  return new Intl.NumberFormat(language, format).format(bytes / 1024 / 1024);
}

const days = new Intl.DateTimeFormat(language, { dateStyle: "full" });
const near = new Intl.RelativeTimeFormat(language, { numeric: "auto" });

/** The day of a timestamp: today, yesterday, or its date. */
export function day(text) {
  const at = new Date(text);
  const midnight = (date) => new Date(date).setHours(0, 0, 0, 0);
  const ago = Math.round((midnight(Date.now()) - midnight(at)) / 1000 / DAY);
  return capital(ago < 2 ? near.format(-ago, "day") : days.format(at));
}

const capital = (text) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/** A timestamp in three forms. */
export function time(text) {
  const at = new Date(text);
  return { iso: at.toISOString(), exact: exactTimes.format(at), short: shortTimes.format(at) };
}

/** The words for an API error in the user's language; the API's own message if we have none. */
export function explain({ code, message, details, limit = details?.limit }) {
  const n = details?.required ?? details?.credits;
  const key = `error_${String(code).toLowerCase()}`;
  const most = typeof limit === "number" ? t("limit_is", { size: megabytes(limit) }) : "";
  const words = t.maybe(key, { n, ...details });
  return words === null ? (message ?? t("error_internal")) : `${words} ${most}`.trim();
}

/** The words for a failed read. An empty list in its place would look as if there were nothing. */
export function unread({ message, code }) {
  if (/Failed to fetch|NetworkError|Load failed/.test(message)) return t("error_network");
  return t("read_failed", { why: message || code || t("error_network") });
}

/** A tool's name in the user's language; its id if there are no words for it. */
export const toolName = (tool) => inWords("tool", tool);
