// A place for one file or a few: a mouse drops them there, a keyboard opens the file dialog.

import { h, icon } from "../elements.js";
import { t } from "../words.js";

/**
 * @returns the place, with what is `kept` in it; `onchange` gets the file, or the list of files
 *   where it takes `many`.
 */
export function drop({ name, accept, label, many }, kept, onchange) {
  const kind = accept.split("/")[0];
  let chosen = [];
  const picker = h("input", {
    type: "file",
    name,
    accept,
    multiple: Boolean(many),
    onchange: () => take(picker.files),
  });
  const shown = h("div", { class: "drop-shown" }, hint(kind, label));
  const zone = h("label", { class: "drop" }, picker, shown);

  function take(list) {
    const fitting = [...list].filter((file) => file.type.startsWith(`${kind}/`));
    if (fitting.length === 0) return;
    show(many ? [...chosen, ...fitting].slice(0, many) : fitting.slice(0, 1));
    onchange(many ? chosen : chosen[0]);
  }

  function show(files) {
    chosen = files;
    zone.classList.add("filled");
    const next = t(many && chosen.length < many ? "add_more" : "replace");
    const previews = chosen.map((file) => preview(file, kind));
    shown.replaceChildren(...previews, h("span", { class: "drop-again" }, next));
  }
  if (kept) show([kept].flat());

  const hover = (over) => zone.classList.toggle("over", over);
  const entered = (event) => {
    event.preventDefault();
    hover(true);
  };
  zone.addEventListener("dragenter", entered);
  zone.addEventListener("dragover", entered);
  zone.addEventListener("dragleave", () => hover(false));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    hover(false);
    take(event.dataTransfer.files);
  });
  return zone;
}

function hint(kind, label) {
  return [
    icon(kind === "video" ? "video" : "upload", 24),
    h("strong", {}, t(`drop_${label}`)),
    h("span", { class: "muted" }, t("drop_hint")),
  ];
}

function preview(file, kind) {
  const src = URL.createObjectURL(file);
  return kind === "video"
    ? h("video", { src, muted: true, "aria-label": file.name })
    : h("img", { src, alt: file.name });
}
