// The result of a job: a picture beside its input, a video, cards, or the files of a website.

import { h, icon } from "../elements.js";
import { t } from "../words.js";
import { cards } from "./cards.js";
import { declared } from "./tools.js";
import { website } from "./website.js";

/** Object URLs of inputs on the stage that have not been uploaded yet. */
const objectUrls = new Map();

/** The URL of the input that the result is compared with, if there is one. */
export function inputOf({ tool, input }) {
  const picture = input[declared(tool).compares];
  if (!(picture instanceof Blob)) return picture;
  if (!objectUrls.has(picture)) objectUrls.set(picture, URL.createObjectURL(picture));
  return objectUrls.get(picture);
}

/** Revokes the object URLs that no picture on the stage shows any more. */
export function releaseInputs(stage) {
  const shown = new Set([...stage.querySelectorAll("img")].map(({ src }) => src));
  for (const [picture, url] of objectUrls) {
    if (shown.has(url)) continue;
    URL.revokeObjectURL(url);
    objectUrls.delete(picture);
  }
}

export function result(update) {
  const { answer, outputUrl, tool } = update;
  const before = inputOf(update);
  if (answer.files) return website(update);
  if (answer.tasks) return cards(update);
  if (declared(tool).result === "video") {
    const label = { controls: true, "aria-label": t("after") };
    return h("video", { class: "result", src: outputUrl, ...label });
  }
  if (before) return compare(before, outputUrl);
  return h("img", { class: "result", src: outputUrl, alt: t("after") });
}

/** Two pictures in one frame with a slider between them, which also works by keyboard. */
function compare(before, after) {
  const frame = h("div", { class: "compare" });
  const size = h("span", { class: "compare-size" });
  const show = (value) => frame.style.setProperty("--split", `${value}%`);
  const slider = {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": t("compare"),
    oninput: (event) => show(event.target.value),
  };
  const measured = ({ target: { naturalWidth, naturalHeight } }) => {
    frame.style.aspectRatio = `${naturalWidth} / ${naturalHeight}`;
    size.textContent = `${naturalWidth} × ${naturalHeight}`;
  };
  frame.append(
    h("img", { class: "after", src: after, alt: t("after"), onload: measured }),
    h("img", { class: "before", src: before, alt: t("before") }),
    h("span", { class: "tag left" }, t("before")),
    h("span", { class: "tag right" }, t("after"), " ", size),
    h("div", { class: "handle" }, icon("split", 20)),
    h("input", slider),
  );
  show(50);
  return frame;
}
