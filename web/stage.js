// The stage: one job, large, in whatever state it is.

import { explain, h, icon, number, duration } from "./page.js";
import { FORMS } from "./tools.js";
import { t } from "./words.js";

/** What there is to see before the first job. */
export function nothing() {
  return h(
    "div",
    { class: "stage-empty" },
    h("div", { class: "stage-mark" }, icon("split", 40)),
    h("h2", {}, t("empty_title")),
    h("p", { class: "muted" }, t("empty_text")),
  );
}

/** A job; `actions` are { cancel, again } as far as they apply. */
export function stage(update, actions) {
  const views = { uploading, waiting, running, done, failed, cancelled };
  return h(
    "article",
    { class: `stage-job ${update.state}`, "data-job": update.id, "data-state": update.state },
    views[update.state](update, actions),
  );
}

/** What a screen reader says when a job has moved on. */
export function spoken({ state, position, tool }) {
  return `${t(`tool_${tool}`)}: ${state === "waiting" ? (position ? t("waiting_place", { n: position }) : t("waiting_soon")) : t(state)}`;
}

/** Addresses of files that have none elsewhere yet. */
const addresses = new WeakMap();

function inputOf({ tool, input }) {
  const picture = input[FORMS[tool]?.compares];
  if (!(picture instanceof Blob)) return picture;
  if (!addresses.has(picture)) addresses.set(picture, URL.createObjectURL(picture));
  return addresses.get(picture);
}

/** The picture at work, dimmed, with what is happening over it. */
function scene(update, ...content) {
  const picture = inputOf(update);
  return h(
    "div",
    { class: "scene" },
    picture && h("img", { class: "scene-picture", src: picture, alt: "" }),
    h("div", { class: "scene-card" }, content),
  );
}

const cancelButton = (actions) =>
  actions.cancel &&
  h("button", { type: "button", class: "button quiet", onclick: actions.cancel }, t("cancel"));

function bar(share) {
  const fill = h("div", { class: "bar-fill" });
  fill.style.width = `${Math.round(share * 100)}%`;
  return h(
    "div",
    {
      class: "bar",
      role: "progressbar",
      "aria-label": t("progress"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": Math.round(share * 100),
    },
    fill,
  );
}

function uploading(update, actions) {
  return scene(
    update,
    h("h2", {}, t("uploading")),
    bar(update.progress),
    h("p", { class: "muted" }, t("uploading_text", { n: Math.round(update.progress * 100) })),
    cancelButton(actions),
  );
}

function waiting(update, actions) {
  const place =
    update.position &&
    h(
      "p",
      { class: "place", "data-position": update.position },
      h("span", {}, "#"),
      number(update.position),
    );
  const text = update.position ? t("waiting_place", { n: update.position }) : t("waiting_soon");
  const eta =
    update.etaSeconds > 0 &&
    h("p", { class: "muted" }, t("waiting_eta", { time: duration(update.etaSeconds) }));
  return scene(
    update,
    place,
    h("h2", {}, text),
    eta,
    h("p", { class: "muted small" }, t("waiting_leave")),
    cancelButton(actions),
  );
}

function running(update) {
  const steps = update.totalSteps > 1 && bar((update.step ?? 0) / update.totalSteps);
  return [
    scene(
      update,
      h("div", { class: "spinner" }),
      h("h2", {}, t("running")),
      steps,
      h("p", { class: "muted" }, t("running_text")),
    ),
    pictures(update),
  ];
}

function done(update, actions) {
  const paid = (update.creditsCharged ?? 0) - update.creditsRefunded;
  const facts = [
    h("span", { class: "fact" }, icon("check", 16), t("done")),
    h("span", { class: "fact" }, icon("coin", 16), t("credits", { n: paid })),
    update.creditsRefunded > 0 &&
      h("span", { class: "fact good" }, t("returned", { n: update.creditsRefunded })),
  ];
  // A site lies in one object, which is of no use to a person; its files are saved one by one.
  const download =
    update.outputUrl &&
    !update.answer.files &&
    h(
      "a",
      { class: "button", href: `${update.outputUrl}?download`, download: "" },
      icon("download", 18),
      t("download"),
    );
  const again =
    actions.again &&
    h("button", { type: "button", class: "button primary", onclick: actions.again }, t("again"));
  return [
    result(update),
    h(
      "footer",
      { class: "stage-facts" },
      h("div", {}, facts),
      h("div", { class: "actions" }, download, again),
    ),
  ];
}

function result(update) {
  const before = inputOf(update);
  if (update.answer.files) return files(update.answer.files);
  if (update.answer.tasks) return pictures(update);
  if (update.tool === "runninghub-video-upscaler")
    return h("video", {
      class: "result",
      src: update.outputUrl,
      controls: true,
      "aria-label": t("after"),
    });
  if (before) return compare(before, update.outputUrl);
  return h("img", { class: "result", src: update.outputUrl, alt: t("after") });
}

/** Two pictures in one frame and a slider between them, which a keyboard moves too. */
export function compare(before, after) {
  const frame = h("div", { class: "compare" });
  const size = h("span", { class: "compare-size" });
  const show = (value) => frame.style.setProperty("--split", `${value}%`);
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
    h("input", {
      type: "range",
      min: 0,
      max: 100,
      value: 50,
      "aria-label": t("compare"),
      oninput: (event) => show(event.target.value),
    }),
  );
  show(50);
  return frame;
}

function pictures({ answer: { tasks } }) {
  if (!tasks) return null;
  const card = ({ cardIndex, status, imageUrl, lastError }) =>
    h(
      "figure",
      { class: `card ${status}` },
      imageUrl
        ? h(
            "a",
            { href: imageUrl, target: "_blank", rel: "noopener" },
            h("img", { src: imageUrl, alt: t("card", { n: cardIndex + 1 }) }),
          )
        : h(
            "div",
            { class: "card-blank", title: lastError },
            status === "failed" ? icon("alert") : h("div", { class: "spinner small" }),
          ),
      h("figcaption", {}, t("card", { n: cardIndex + 1 })),
    );
  return h("div", { class: "cards" }, tasks.map(card));
}

function files(list) {
  const view = h("pre", { class: "viewer", tabindex: 0 });
  const open = (file, button) => {
    view.textContent = file.content;
    for (const other of names.children)
      other.setAttribute("aria-pressed", String(other === button));
  };
  const save = (file) => {
    const link = h("a", {
      href: URL.createObjectURL(new Blob([file.content])),
      download: file.path.split("/").at(-1),
    });
    link.click();
  };
  const names = h(
    "div",
    { class: "file-names" },
    list.map((file) => {
      const button = h(
        "button",
        {
          type: "button",
          class: "file-name",
          "aria-pressed": "false",
          onclick: () => open(file, button),
          ondblclick: () => save(file),
        },
        file.path,
      );
      return button;
    }),
  );
  if (list.length > 0) open(list[0], names.firstChild);
  return h("div", { class: "files" }, names, view);
}

function ended(update, actions, title) {
  const money =
    update.creditsRefunded > 0
      ? t("returned", { n: update.creditsRefunded })
      : update.creditsCharged
        ? null
        : t("not_charged");
  return h(
    "div",
    { class: "scene" },
    h(
      "div",
      { class: "scene-card" },
      h(
        "div",
        { class: `verdict ${update.state}` },
        icon(update.state === "failed" ? "alert" : "close", 24),
      ),
      h("h2", {}, title),
      update.error && update.state === "failed" && h("p", {}, explain(update.error)),
      money && h("p", { class: "money" }, icon("coin", 16), money),
      actions.again &&
        h("button", { type: "button", class: "button", onclick: actions.again }, t("again")),
    ),
  );
}

const failed = (update, actions) => ended(update, actions, t("failed"));
const cancelled = (update, actions) => ended(update, actions, t("cancelled"));
