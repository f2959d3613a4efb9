// A website: its preview, if a browser can show it, and its files.

import { h } from "../elements.js";
import { t } from "../words.js";
import { declared } from "./tools.js";

export function website({ answer, tool }) {
  const code = files(answer.files);
  if (!declared(tool).previews) return code;
  const shown = preview(answer.files);
  return h("div", { class: "website" }, switcher({ preview: shown, files: code }), shown, code);
}

/** Buttons, each of which shows one of several elements and hides the others. */
function switcher(elements) {
  const choose = (chosen) => {
    for (const [name, element] of Object.entries(elements)) element.hidden = name !== chosen;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.shows === chosen));
  };
  const tabs = Object.keys(elements).map((name) =>
    h(
      "button",
      { type: "button", class: "tab", "data-shows": name, onclick: () => choose(name) },
      t(`website_${name}`),
    ),
  );
  choose(Object.keys(elements)[0]);
  return h("div", { class: "tabs-line", role: "group", "aria-label": t("result") }, tabs);
}

/**
 * The website in a sandboxed frame with an opaque origin, so that its scripts reach neither this
 * page nor the session. `/studio/preview` has a content security policy of its own.
 */
function preview(list) {
  const attributes = {
    class: "preview",
    src: "/studio/preview",
    sandbox: "allow-scripts",
    referrerpolicy: "no-referrer",
    title: t("website_preview"),
  };
  const frame = h("iframe", attributes);
  const hear = ({ source, data }) => {
    if (!frame.isConnected) removeEventListener("message", hear);
    if (source !== frame.contentWindow || data !== "ready") return;
    frame.contentWindow.postMessage({ files: list }, "*");
  };
  addEventListener("message", hear);
  const note = h("p", { class: "muted small" }, t("preview_note"));
  return h("div", { class: "preview-box" }, frame, note);
}

/** The list of files; a click shows a file. */
function files(list) {
  const viewer = h("pre", { class: "viewer", tabindex: 0 });
  const names = h("div", { class: "file-names" });
  const open = (file, button) => {
    viewer.textContent = file.content;
    for (const other of names.children)
      other.setAttribute("aria-pressed", String(other === button));
  };
  for (const file of list) {
    const attributes = {
      type: "button",
      class: "file-name",
      "aria-pressed": "false",
      onclick: (event) => open(file, event.currentTarget),
    };
    names.append(h("button", attributes, file.path));
  }
  if (list.length > 0) open(list[0], names.firstChild);
  return h("div", { class: "files" }, names, viewer);
}
