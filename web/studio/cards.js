// The cards of a set that are finished so far, each with its name; a click enlarges a card.

import { button, h, icon } from "../elements.js";
import { explain } from "../format.js";
import { t } from "../words.js";
import { cardFile, cardName, made, saveLink } from "./save.js";

export function cards(update) {
  const { tasks } = update.answer;
  return tasks
    ? h(
        "div",
        { class: "cards" },
        tasks.map((task) => card(update, task)),
      )
    : null;
}

function card(update, task) {
  const { cardIndex: index, status, imageUrl, lastError } = task;
  const name = cardName(index);
  return h(
    "figure",
    { class: `card ${status}`, "data-card": index },
    imageUrl ? larger(update, index, name, imageUrl) : blank(status),
    h(
      "figcaption",
      {},
      h("span", {}, name),
      imageUrl && saver(update, { index, name, url: imageUrl }),
    ),
    lastError && status === "failed" && h("p", { class: "small muted" }, reason(lastError)),
  );
}

/** The words for a failed card. The error's code stands at the beginning of its text. */
function reason(text) {
  const [, code, message] = text.match(/^([A-Z_]+): ?(.*)$/s) ?? [];
  return explain({ code, message: message ?? text });
}

const blank = (status) =>
  h(
    "div",
    { class: "card-blank" },
    status === "failed" ? icon("alert") : h("div", { class: "spinner small" }),
  );

function saver(update, card) {
  const label = t("download_one", { what: card.name });
  const attributes = { class: "button quiet small", "aria-label": label, title: label };
  return saveLink(card.url, cardFile(update, card), icon("download", 18), attributes);
}

function larger(update, index, name, url) {
  const onclick = () => showLarge(update, index);
  const attributes = { type: "button", class: "card-open", "aria-haspopup": "dialog", onclick };
  return h("button", attributes, h("img", { src: url, alt: t("open", { what: name }) }));
}

/** A dialog that shows one card in full size, with buttons to the next and the previous one. */
function showLarge(update, first) {
  const all = made(update);
  let at = all.findIndex(({ index }) => index === first);
  const picture = h("img", { class: "large-picture" });
  const title = h("h2", { id: "large-title" });
  const actions = h("div", { class: "actions" });
  const show = (step) => {
    at = (at + step + all.length) % all.length;
    const card = all[at];
    title.textContent = card.name;
    picture.src = card.url;
    picture.alt = card.name;
    const content = [icon("download", 18), t("download")];
    const beside = all.length > 1 && [
      button(icon("back", 18), () => show(-1), "quiet", { "aria-label": t("previous") }),
      button(icon("forward", 18), () => show(1), "quiet", { "aria-label": t("next") }),
    ];
    const save = saveLink(card.url, cardFile(update, card), content, { class: "button primary" });
    const focused = document.activeElement?.ariaLabel;
    actions.replaceChildren(...[beside || [], save].flat());
    [...actions.children].find(({ ariaLabel }) => ariaLabel && ariaLabel === focused)?.focus();
  };
  show(0);
  const close = button(icon("close"), () => dialog.close(), "quiet", { "aria-label": t("close") });
  const onkeydown = ({ key }) => {
    if (key === "ArrowLeft") show(-1);
    if (key === "ArrowRight") show(1);
  };
  const dialog = h(
    "dialog",
    {
      class: "large",
      "aria-labelledby": "large-title",
      onkeydown,
      onclose: () => dialog.remove(),
      onclick: (event) => event.target === dialog && dialog.close(),
    },
    h("header", {}, title, close),
    picture,
    actions,
  );
  document.body.append(dialog);
  dialog.showModal();
}
