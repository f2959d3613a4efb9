// The last day by the hour: jobs upwards by how they ended, refunded credits downwards. A hidden
// table tells screen readers the same.

import { h, problem } from "../elements.js";
import { number, unread } from "../format.js";
import { language, t } from "../words.js";

const [LEFT, TOP, HIGH, DEEP, LABELS] = [34, 8, 112, 36, 22];
/** The drawing is narrow on a narrow screen, so that its text keeps its size. */
const narrow = matchMedia("(max-width: 46rem)");
const WIDTHS = { narrow: 430, wide: 1240 };
const widthNow = () => (narrow.matches ? WIDTHS.narrow : WIDTHS.wide);
const ZERO = TOP + HIGH;
const SERIES = ["completed", "failed", "cancelled"];
const clock = new Intl.DateTimeFormat(language, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** Draws the rows of `jobs_by_hour`. */
export function chart({ rows: hours, error }) {
  const shown = error ? problem(unread(error)) : [caption(hours), drawing(hours), table(hours)];
  return h("figure", { class: "panel chart" }, shown);
}

function caption(hours) {
  const total = (name) => hours.reduce((sum, hour) => sum + hour[name], 0);
  const key = (name, value) =>
    h("li", { class: name }, t(`chart_${name}`), " ", h("strong", {}, number(value)));
  const keys = SERIES.map((name) => key(name, total(name)));
  keys.push(key("refunded", total("credits_refunded")));
  return h("figcaption", {}, h("h2", {}, t("chart_title")), h("ul", { class: "keys" }, keys));
}

function drawing(hours) {
  const ended = (hour) => SERIES.reduce((sum, name) => sum + hour[name], 0);
  const most = nice(Math.max(4, ...hours.map(ended)));
  const mostRefunded = Math.max(1, ...hours.map((hour) => hour.credits_refunded));
  const width = widthNow();
  const slot = (width - LEFT) / hours.length;
  const every = narrow.matches ? 6 : 4;
  const bars = hours.map((hour, index) => {
    const place = { x: LEFT + (index + 0.22) * slot, width: slot * 0.56 };
    const down = (hour.credits_refunded / mostRefunded) * DEEP;
    const refunded = bar("refunded", { ...place, y: ZERO + 2, height: down });
    const label = index % every === 3 && clockLabel(hour, place.x + place.width / 2);
    return h("g", {}, stack(hour, most, place), refunded, label);
  });
  const viewBox = `0 0 ${width} ${ZERO + DEEP + LABELS + 6}`;
  return h("svg", { viewBox, "aria-hidden": "true" }, [0, 0.5, 1].map(gridLine(most, width)), bars);
}

/** The bars of one hour, stacked. */
function stack(hour, most, place) {
  let y = ZERO;
  return SERIES.map((name) => {
    const height = (hour[name] / most) * HIGH;
    y -= height;
    return bar(name, { ...place, y, height: height - (height > 3 ? 1 : 0) });
  });
}

const bar = (name, place) => place.height > 0 && h("rect", { class: name, ...place, rx: 2 });

function gridLine(most, width) {
  return (share) => {
    const y = ZERO - share * HIGH;
    const line = h("line", { x1: LEFT, x2: width, y1: y, y2: y });
    const place = { x: LEFT - 10, y: y + 4, "text-anchor": "end" };
    return h("g", { class: "grid" }, line, h("text", place, number(most * share)));
  };
}

function clockLabel({ hour }, x) {
  const place = { x, y: ZERO + DEEP + LABELS, "text-anchor": "middle" };
  return h("text", place, clock.format(new Date(hour)));
}

/** The next round number for the top of an axis. */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= value);
}

function table(hours) {
  const names = ["ordered", ...SERIES, "credits_refunded"];
  const head = ["hour", "ordered", ...SERIES, "refunded"].map((name) =>
    h("th", { scope: "col" }, t(`chart_${name}`)),
  );
  const cells = (hour) => names.map((name) => h("td", {}, number(hour[name])));
  const rows = hours.map((hour) =>
    h("tr", {}, h("th", { scope: "row" }, clock.format(new Date(hour.hour))), cells(hour)),
  );
  const title = h("caption", {}, t("chart_title"));
  const grid = h("table", {}, title, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows));
  // A table ignores the width that the class `sr` sets, so the class stands on a div around it.
  return h("div", { class: "sr" }, grid);
}
