// A day by the hour: jobs upwards by how they ended, refunded credits downwards. A table says the same to a screen reader.

import { h, number, supabase } from "./page.js";
import { language, t } from "./words.js";

const [WIDTH, LEFT, TOP, HIGH, DEEP, LABELS] = [1240, 34, 8, 112, 36, 22];
const SERIES = ["completed", "failed", "cancelled"];

export async function chart(figure) {
  const { data, error } = await supabase.from("jobs_by_hour").select("*").order("hour");
  if (error)
    return figure.replaceChildren(h("p", { class: "problem", role: "alert" }, t("error_network")));
  const total = (name) => data.reduce((sum, hour) => sum + hour[name], 0);
  const key = (name, value) =>
    h("li", { class: name }, t(`chart_${name}`), " ", h("strong", {}, number(value)));
  figure.replaceChildren(
    h(
      "figcaption",
      {},
      h("h2", {}, t("chart_title")),
      h(
        "ul",
        { class: "keys" },
        SERIES.map((name) => key(name, total(name))),
        key("refunded", total("credits_refunded")),
      ),
    ),
    drawing(data),
    table(data),
  );
}

function drawing(hours) {
  const ended = (hour) => SERIES.reduce((sum, name) => sum + hour[name], 0);
  const most = nice(Math.max(4, ...hours.map(ended)));
  const mostRefunded = Math.max(1, ...hours.map((hour) => hour.credits_refunded));
  const slot = (WIDTH - LEFT) / hours.length;
  const zero = TOP + HIGH;
  const clock = new Intl.DateTimeFormat(language, {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const grid = [0, 0.5, 1].map((share) => {
    const y = zero - share * HIGH;
    return h(
      "g",
      { class: "grid" },
      h("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y }),
      h("text", { x: LEFT - 10, y: y + 4, "text-anchor": "end" }, number(most * share)),
    );
  });
  const bars = hours.map((hour, index) => {
    const [x, width] = [LEFT + (index + 0.22) * slot, slot * 0.56];
    const bar = (name, y, height) =>
      height > 0 && h("rect", { class: name, x, width, y, height, rx: 2 });
    let y = zero;
    const up = SERIES.map((name) => {
      const height = (hour[name] / most) * HIGH;
      y -= height;
      return bar(name, y, height - (height > 3 ? 1 : 0));
    });
    const label =
      index % 4 === 3 &&
      h(
        "text",
        { x: x + width / 2, y: zero + DEEP + LABELS, "text-anchor": "middle" },
        clock.format(new Date(hour.hour)),
      );
    return h(
      "g",
      {},
      up,
      bar("refunded", zero + 2, (hour.credits_refunded / mostRefunded) * DEEP),
      label,
    );
  });
  return h(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${TOP + HIGH + DEEP + LABELS + 6}`, "aria-hidden": "true" },
    grid,
    bars,
  );
}

/** The next number that reads well on an axis. */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= value);
}

function table(hours) {
  const names = ["ordered", ...SERIES, "credits_refunded"];
  const head = ["hour", "ordered", ...SERIES, "refunded"].map((name) =>
    h("th", { scope: "col" }, t(`chart_${name}`)),
  );
  return h(
    "table",
    { class: "sr" },
    h("thead", {}, h("tr", {}, head)),
    h(
      "tbody",
      {},
      hours.map((hour) =>
        h(
          "tr",
          {},
          h("td", {}, hour.hour),
          names.map((name) => h("td", {}, hour[name])),
        ),
      ),
    ),
  );
}
