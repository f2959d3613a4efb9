// What an admin changes of providers, tools and prices: always with the old value before the eyes,
// and with a reason.

import { t } from "../words.js";
import { act, call, reasonField } from "./ask.js";

/** Switches a provider or a tool off or on. `what` names its row. */
export function switchTo(enabled, { list, what, name, refresh }) {
  const key = enabled ? "on" : "off";
  return changed({
    title: t(`switch_${key}_title`, { name }),
    text: t(`switch_${key}_${list}`),
    action: t(`switch_${key}`),
    danger: !enabled,
    list,
    what,
    change: () => ({ enabled }),
    refresh,
  });
}

/** Changes numbers of a row: `fields` as for `act`, `change(values)` the fields of the function. */
export async function changed(given) {
  const { title, text, fields = [], action = t("save"), danger, list, what, change } = given;
  await act({
    title,
    text,
    fields: [...fields, reasonField()],
    action,
    danger,
    run: async (values) => {
      try {
        const asked = { ...what, ...change(values), reason: values.reason.trim() };
        return await call(`admin-settings/${list}`, asked);
      } catch ({ message }) {
        return { ok: false, answer: { code: "bad_request", message } };
      }
    },
    done: () => t("saved"),
  });
  await given.refresh();
}

/** A whole number in a dialog, with what it is now. */
export const numberField = (name, value, limits = {}) => ({
  name,
  type: "number",
  required: true,
  min: 0,
  value,
  ...limits,
});
