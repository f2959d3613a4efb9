// The dialogs in which an admin changes providers, tools and prices. Each shows the old value and
// requires a reason.

import { t } from "../words.js";
import { act, call, reasonField } from "./ask.js";

/** Switches a provider or a tool off or on. `what` identifies its row. */
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

/**
 * Asks for the values of a row and has the function change them. `fields` are those of `act`;
 * `change(values)` returns the changes to send. If it returns none, nothing is sent.
 */
export async function changed(given) {
  const { title, text, fields = [], action = t("save"), danger, list, what } = given;
  await act({
    title,
    text,
    fields: [...fields, reasonField()],
    action,
    danger,
    run: async (values) => {
      let change;
      try {
        change = given.change(values);
      } catch {
        // The only text that is parsed are the options of a rule.
        return refused("bad_json");
      }
      if (Object.keys(change).length === 0) return refused("nothing_changed");
      const asked = { ...what, ...change, reason: values.reason.trim() };
      return call(`admin-settings/${list}`, asked);
    },
    done: () => t("saved"),
  });
  await given.refresh();
}

const refused = (code) => ({ ok: false, answer: { code } });

/** An input for a whole number, which shows the present one. */
export const numberField = (name, value, limits = {}) => ({
  name,
  type: "number",
  required: true,
  min: 0,
  value,
  ...limits,
});
