// Asks before an act and carries it out. While it runs, the dialog stays open and its buttons are
// disabled. If the act fails, the dialog shows the reason, and the same act can be sent again.

import { button, h, toast } from "../elements.js";
import { explain } from "../format.js";
import { ask } from "../project.js";
import { inWords, t } from "../words.js";

/** Calls a function; a lost connection becomes an answer with a code of its own. */
export async function call(path, body, headers) {
  try {
    return await ask(path, body, headers);
  } catch {
    return { ok: false, answer: { code: "connection_lost" }, retryAfter: 0 };
  }
}

/**
 * Shows the dialog. `fields` are inputs; `run(values)` resolves to `{ ok, answer }`; `done(answer)`
 * returns the text of the toast. Resolves to whether the act was carried out.
 */
export function act({ title, text, fields = [], action, danger = false, run, done }) {
  return new Promise((resolve) => {
    let [carriedOut, wasLost] = [false, false];
    const failure = h("p", { class: "problem", role: "alert", hidden: true });
    const yes = h(
      "button",
      { type: "submit", class: `button ${danger ? "danger" : "primary"}` },
      action,
    );
    const no = button(t("keep"), () => dialog.close());
    const setRunning = (isNow) => {
      for (const each of [yes, no]) each.disabled = isNow;
    };
    const onsubmit = async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      setRunning(true);
      failure.hidden = true;
      const { ok, answer } = await run(values).finally(() => setRunning(false));
      // If the answer to an earlier request was lost, such a refusal means that the earlier request
      // succeeded.
      const wasDone = wasLost && ["already_final", "not_found"].includes(answer.code);
      if (ok || wasDone) {
        carriedOut = true;
        dialog.close();
        toast(ok ? done(answer) : doneBefore(answer));
        return;
      }
      wasLost ||= answer.code === "connection_lost";
      failure.textContent = refusal(answer);
      failure.hidden = false;
    };
    const form = h(
      "form",
      { onsubmit },
      h("h2", { id: "ask-title" }, title),
      text && h("p", { id: "ask-text", class: "muted ask-text" }, text),
      fields.map(field),
      failure,
      h("div", { class: "actions" }, no, yes),
    );
    const onclose = () => {
      // A browser closes a dialog at the second Escape, whatever `oncancel` says. A new dialog
      // would send the act under a new idempotency key, so that it was done twice.
      if (yes.disabled) return dialog.showModal();
      dialog.remove();
      resolve(carriedOut);
    };
    const oncancel = (event) => yes.disabled && event.preventDefault();
    const described = text ? { "aria-describedby": "ask-text" } : {};
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", ...described, oncancel, onclose },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

const doneBefore = ({ status, refundedCredits: n }) =>
  status ? t("done_before", { status: inWords("status", status), n: n ?? 0 }) : t("saved");

/** The words for a refused act. */
export function refusal(answer) {
  const { code, message, status, refundedCredits: n } = answer;
  if (code === "already_final" && status)
    return t("already_over", { status: inWords("status", status), n: n ?? 0 });
  return explain({ code, message, details: answer });
}

/** The reason, which is required wherever credits or many rows change. */
export const reasonField = (required = true) => ({ name: "reason", required, rows: true });

/** `{ name, label?, type?, options?, value?, required?, min?, max?, pattern?, hint? }` */
export function field({ name, label = t(`field_${name}`), options, rows, hint, ...attributes }) {
  const tag = options ? "select" : rows ? "textarea" : "input";
  const chosen = options && { value: undefined };
  const own = { name, rows: rows && 2, maxlength: rows && 500, autocomplete: "off" };
  const choices = options?.map(([value, text]) =>
    h("option", { value, selected: value === attributes.value }, text),
  );
  const input = h(tag, { ...own, ...attributes, ...chosen }, choices);
  const mark = !attributes.required && !options && [" ", h("em", {}, t("optional"))];
  return h(
    "label",
    { class: "field" },
    h("span", {}, label, mark),
    input,
    hint && h("small", { class: "muted" }, hint),
  );
}
