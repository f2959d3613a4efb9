// An input for one or several files: users drop files there or open the file dialog. It names each
// file that it refuses at once, and each file can be removed.

import { button, h, icon, problem } from "../elements.js";
import { explain } from "../format.js";
import { t } from "../words.js";
import { refusal } from "./check.js";

/**
 * Makes the input. `kept` are files or URLs that it holds at first. `onchange` gets the file, or
 * the list of files if it takes `many`.
 */
export function drop({ name, accept, label, many }, kept, onchange) {
  const kind = accept.split("/")[0];
  const most = many ?? 1;
  let chosen = [];
  const picker = h("input", {
    type: "file",
    name,
    accept,
    multiple: most > 1,
    "aria-label": t(`drop_${label}`),
    onchange: () => take([...picker.files]),
  });
  const shown = h("ul", { class: "drop-files" });
  const invitation = h("span", { class: "drop-shown" });
  const said = h("div", { class: "drop-said" });
  const zone = h("div", { class: "drop" }, shown, h("label", {}, picker, invitation), said);

  async function take(files) {
    // Without this, choosing the same file a second time would fire no change event.
    picker.value = "";
    const refusals = await Promise.all(files.map((file) => refusal(file, kind)));
    // The user has changed to another form in the meantime.
    if (!zone.isConnected) return;
    const fitting = files.filter((_, index) => refusals[index] === null);
    const room = most === 1 ? fitting.slice(0, 1) : [...chosen, ...fitting].slice(0, most);
    const lost = most > 1 && chosen.length + fitting.length > most;
    const why = refusals
      .map((refused, index) => refused && `${files[index].name}: ${explain(worded(refused))}`)
      .concat(lost ? t("too_many_files", { n: most }) : null)
      .filter(Boolean);
    said.replaceChildren(...[...new Set(why)].map(problem));
    if (fitting.length > 0) change(room);
  }

  function change(files) {
    show(files);
    onchange(most > 1 ? chosen : (chosen[0] ?? null));
  }

  function remove(file) {
    change(chosen.filter((other) => other !== file));
    picker.focus();
  }

  function show(files) {
    chosen = files;
    zone.classList.toggle("filled", chosen.length > 0);
    zone.classList.toggle("full", most > 1 && chosen.length === most);
    picker.disabled = most > 1 && chosen.length === most;
    release(shown);
    shown.replaceChildren(...chosen.map((file) => preview(file, kind, () => remove(file), gone)));
    const next = t(most > 1 ? "add_more" : "replace");
    const again = most > 1 ? [icon("plus", 16), next] : next;
    invitation.replaceChildren(...(chosen.length > 0 ? [again].flat() : hint(kind, label, most)));
  }

  /** Removes a URL whose file has been deleted, because an order with it would fail. */
  function gone(file) {
    said.replaceChildren(problem(t("file_gone")));
    remove(file);
  }

  show(kept ? [kept].flat() : []);
  listen(zone, take);
  return zone;
}

/** Revokes the object URLs that an element shows; each keeps its file in memory. */
export function release(element) {
  for (const { src } of element.querySelectorAll("img, video")) URL.revokeObjectURL(src);
}

/** A refusal whose code has words: `heic`, or `no_` with the wanted kind. */
function worded({ code, details, ...rest }) {
  if (code !== "wrong_type") return { code, details, ...rest };
  const isHeic = details.found === "heic" && details.wanted === "image";
  return { code: isHeic ? "heic" : `no_${details.wanted}` };
}

function listen(zone, take) {
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
    take([...event.dataTransfer.files]);
  });
}

function hint(kind, label, most) {
  return [
    icon(kind === "video" ? "video" : "upload", 24),
    h("strong", {}, t(`drop_${label}`)),
    h("span", { class: "muted" }, t(most > 1 ? "drop_hint_many" : "drop_hint", { n: most })),
    h("span", { class: "muted small" }, t(`takes_${kind}`)),
  ];
}

function preview(file, kind, onremove, ongone) {
  const isAddress = typeof file === "string";
  const src = isAddress ? file : URL.createObjectURL(file);
  const name = isAddress ? t("file_earlier") : file.name;
  // The browser may fail to show a picture that the tool accepts, so its name is shown instead.
  const onerror = ({ target }) => {
    if (isAddress) return ongone(file);
    URL.revokeObjectURL(src);
    target.replaceWith(h("span", { class: "drop-name" }, name));
  };
  const shown =
    kind === "video"
      ? h("video", { src, muted: true, preload: "metadata", "aria-label": name, onerror })
      : h("img", { src, alt: name, onerror });
  const label = t("remove_file", { name });
  const removing = button(icon("close", 16), onremove, "drop-remove", {
    "aria-label": label,
    title: label,
  });
  return h("li", {}, shown, removing);
}
