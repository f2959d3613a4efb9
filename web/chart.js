// A day by the hour: jobs as bars by how they ended, refunds as a line. A table says the same to a screen reader.

import { h, number, supabase } from "./page.js";
import { language, t } from "./words.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [1240, 170, 30, 24, 10];
const SERIES = ["completed", "failed", "cancelled"];

export async function chart(figure) {
  const { data, error } = await supabase.from("jobs_by_hour").select("*").order("hour");
  if (error) return figure.replaceChildren(h("p", { class: "problem", role: "alert" }, t("error_network")));
  const total = (name) => data.reduce((sum, hour) => sum + hour[name], 0);
  const key = (name, value) => h("li", { class: name }, t(`chart_${name}`), " ", h("strong", {}, number(value)));
  figure.replaceChildren(
    h("figcaption", {}, h("h2", {}, t("chart_title")), h("ul", { class: "keys" }, SERIES.map((name) => key(name, total(name))), key("refunded", total("credits_refunded")))),
    drawing(data),
    table(data));
}

function drawing(hours) {
  const ended = (hour) => SERIES.reduce((sum, name) => sum + hour[name], 0);
  const most = nice(Math.max(4, ...hours.map(ended)));
  const mostRefunded = Math.max(1, ...hours.map((hour) => hour.credits_refunded));
  const slot = (WIDTH - LEFT) / hours.length;
  const high = HEIGHT - BOTTOM - TOP;
  const y = (share) => TOP + high * (1 - share);
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const grid = [0, 0.5, 1].map((share) => h("g", { class: "grid" }, h("line", { x1: LEFT, x2: WIDTH, y1: y(share), y2: y(share) }), h("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, number(most * share))));
  const bars = hours.map((hour, index) => {
    let under = 0;
    const x = LEFT + index * slot + slot * 0.2;
    const parts = SERIES.map((name) => {
      const share = hour[name] / most;
      under += share;
      return share > 0 && h("rect", { class: name, x, width: slot * 0.6, y: y(under), height: share * high, rx: 2 });
    });
    const label = index % 4 === 3 && h("text", { class: "hour", x: x + slot * 0.3, y: HEIGHT - 6, "text-anchor": "middle" }, clock.format(new Date(hour.hour)));
    return h("g", {}, parts, label);
  });
  const line = hours.map((hour, index) => `${LEFT + (index + 0.5) * slot},${y((hour.credits_refunded / mostRefunded) * 0.9)}`).join(" ");
  return h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, grid, bars, h("polyline", { class: "refunded", points: line }));
}

/** The next number that reads well on an axis. */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * unit).find((step) => step >= value);
}

function table(hours) {
  const names = ["ordered", ...SERIES, "credits_refunded"];
  const head = ["hour", "ordered", ...SERIES, "refunded"].map((name) => h("th", { scope: "col" }, t(`chart_${name}`)));
  return h("table", { class: "sr" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, hours.map((hour) => h("tr", {}, h("td", {}, hour.hour), names.map((name) => h("td", {}, hour[name]))))));
}
