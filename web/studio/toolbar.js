// The tools on sale: a button for each, and below them the form of the chosen one.

import { h, icon, problem } from "../elements.js";
import { t } from "../words.js";
import { toolForm } from "./form.js";
import { declared, startingPrice, toolsOnSale } from "./tools.js";

/**
 * Makes the toolbar: its elements, `show(draft)`, `draft` and `refresh` for another wallet.
 * `onorder(tool, input, limits)` gets a complete order; `onmissing(credits)` is called where
 * credits are missing. A draft is the chosen tool with the values of its form.
 */
export function createToolbar({ wallet, canBuy, onorder, onmissing }) {
  const buttons = h("div", { class: "tools", role: "group", "aria-label": t("tool") });
  const panel = h("div", { class: "tool-panel" });
  let [shown, form] = [null, null];

  async function show(draft) {
    const offered = await toolsOnSale().catch(() => null);
    if (!offered) return panel.replaceChildren(problem(t("error_network")));
    if (offered.length === 0)
      return panel.replaceChildren(h("p", { class: "muted" }, t("no_tools")));
    buttons.replaceChildren(...offered.map((tool) => toolButton(tool, () => choose(tool))));
    buttons.hidden = offered.length < 2;
    const drafted = offered.find(({ tool }) => tool === draft?.tool);
    choose(drafted ?? offered[0], drafted && draft.values);
  }

  function choose(chosen, kept) {
    const { tool } = chosen;
    shown = tool;
    for (const button of buttons.children)
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    form = toolForm(chosen, {
      kept,
      wallet,
      canBuy,
      onorder: (input, limits) => onorder(tool, input, limits),
      onmissing,
    });
    panel.replaceChildren(
      h("h2", {}, t(`tool_${tool}`)),
      h("p", { class: "muted" }, t(`about_${tool}`)),
      form.element,
    );
  }

  function focusForm() {
    panel.querySelector("input, textarea")?.focus();
    panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  const draft = () => ({ tool: shown, values: form?.values });
  return {
    elements: [buttons, panel],
    show,
    focusForm,
    draft,
    refresh: () => form?.refresh(),
  };
}

function toolButton(sold, onclick) {
  const { tool } = sold;
  const attributes = { type: "button", class: "tool", "data-tool": tool, "aria-pressed": "false" };
  return h(
    "button",
    { ...attributes, onclick },
    icon(declared(tool).icon),
    h("span", {}, t(`tool_${tool}`)),
    h("small", {}, startingPrice(sold)),
  );
}
