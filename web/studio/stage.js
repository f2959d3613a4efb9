// The stage, which shows one job, large, in whatever state it is.

import { h, icon } from "../elements.js";
import { toolName } from "../format.js";
import { t } from "../words.js";
import { releaseInputs } from "./result.js";
import { views, waitingText } from "./views.js";

/** Makes an empty stage: its elements, `show(update, actions)`, and `clear`. */
export function createStage() {
  const place = h("section", { class: "stage", "aria-label": t("result") }, nothing());
  const spoken = h("p", { class: "sr", role: "status" });
  let painted = {};

  /** Draws only if something has changed, so that nothing flickers and the keyboard focus stays. */
  function show(update, actions) {
    const face = JSON.stringify([
      update.progress,
      update.position,
      update.etaSeconds,
      update.step,
      update.answer.tasks,
      update.outputUrl,
      update.error?.code,
    ]);
    const entered = painted.id !== update.id || painted.state !== update.state;
    if (!entered && painted.face === face) return;
    const { activeElement } = document;
    const focused = place.contains(activeElement) && activeElement.textContent;
    fill(view(update, actions));
    place.firstChild.classList.toggle("entered", entered);
    if (focused) focusButton(place, focused);
    if (entered || painted.position !== update.position) spoken.textContent = sentence(update);
    painted = { id: update.id, state: update.state, position: update.position, face };
  }

  function clear() {
    fill(nothing());
    painted = {};
  }

  function fill(content) {
    place.replaceChildren(content);
    releaseInputs(place);
  }

  return { place, spoken, show, clear };
}

function nothing() {
  return h(
    "div",
    { class: "stage-empty" },
    h("div", { class: "stage-mark" }, icon("split", 40)),
    h("h2", {}, t("empty_title")),
    h("p", { class: "muted" }, t("empty_text")),
  );
}

/** The view of a job; `actions` are those that apply of { cancel, again, reuse, … }. */
function view(update, actions) {
  const { id, state } = update;
  const attributes = { class: `stage-job ${state}`, "data-job": id, "data-state": state };
  return h("article", attributes, views[state](update, actions));
}

function focusButton(place, text) {
  [...place.querySelectorAll("button")].find((button) => button.textContent === text)?.focus();
}

/** The sentence that a screen reader speaks when a job has moved on. */
function sentence({ state, position, tool }) {
  return `${toolName(tool)}: ${state === "waiting" ? waitingText(position) : t(state)}`;
}
