// Short forms of ids and times, with the whole within reach.

import { button, h, icon, link, toast } from "../elements.js";
import { language, t } from "../words.js";
import { address } from "./router.js";

const exact = new Intl.DateTimeFormat(language, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

/** The pattern of an id, for a regular expression. */
export const UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}";

export const short = (id) => id.slice(0, 8);

export const userLink = (id) =>
  link(address(`/users/${id}`), short(id), { class: "link code", title: id });

export const jobLink = (id, text = short(id)) =>
  link(address(`/jobs/${id}`), text, { class: "link code", title: id });

/** A whole id with a button that copies it. With a `name`, only the button, under that name. */
export function copyable(text, name = null) {
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  };
  const mark = icon("copy", 15);
  if (name) return button([mark, name], copy, "quiet small");
  return h(
    "span",
    { class: "copyable" },
    h("code", {}, text),
    button(mark, copy, "quiet tiny", { "aria-label": t("copy_this", { text }) }),
  );
}

/** The time of day to the millisecond; its tooltip shows the day. */
export function moment(text) {
  const at = new Date(text);
  return h("time", { datetime: at.toISOString(), title: day.format(at) }, exact.format(at));
}

/** The time of day to the second. */
export const clock = (text) => exact.format(new Date(text)).slice(0, 8);

/** The time between two timestamps: 12 ms, 1.234 s, 75 s. */
export function gap(from, to) {
  const ms = Date.parse(to) - Date.parse(from);
  if (Number.isNaN(ms)) return "–";
  const [value, unit] = ms < 10_000 ? [ms, "millisecond"] : [ms / 1000, "second"];
  return measured(value, unit);
}

/** An interval of the database; unlike `duration` it is not rounded: 90 s, 10 min. */
export function interval(text) {
  const seconds = secondsOf(text);
  return seconds % 60 === 0 ? measured(seconds / 60, "minute") : measured(seconds, "second");
}

function measured(value, unit) {
  const format = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, format).format(value);
}

/** A part as a percentage of the whole: 97.5 %. */
export const share = (part, whole) =>
  whole > 0
    ? new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(
        part / whole,
      )
    : "–";

/** The seconds of an interval of the database, such as 00:10:00 or 1 day 02:00:00. */
export function secondsOf(interval) {
  const days = Number(/(-?\d+) days?/.exec(interval)?.[1] ?? 0);
  const [, hours, minutes, seconds] = /(\d+):(\d+):([\d.]+)/.exec(interval) ?? [0, 0, 0, 0];
  return days * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}
