// The tools on sale: a button for each, and below them the form of the chosen one.

import { h, icon, problem } from "../elements.js";
import { t } from "../words.js";
import { toolForm } from "./form.js";
import { declared, toolsOnSale } from "./tools.js";

/** Makes the toolbar: its elements, and `show`; `onorder(tool, input)` gets a complete order. */
export function createToolbar(onorder) {
  const buttons = h("div", { class: "tools", role: "group", "aria-label": t("tool") });
  const panel = h("div", { class: "tool-panel" });

  async function show() {
    const offered = await toolsOnSale().catch(() => null);
    if (!offered) return panel.replaceChildren(problem(t("error_network")));
    if (offered.length === 0)
      return panel.replaceChildren(h("p", { class: "muted" }, t("no_tools")));
    buttons.replaceChildren(...offered.map((tool) => toolButton(tool, () => choose(tool))));
    buttons.hidden = offered.length < 2;
    choose(offered[0]);
  }

  function choose(chosen) {
    const { tool } = chosen;
    for (const button of buttons.children)
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    panel.replaceChildren(
      h("h2", {}, t(`tool_${tool}`)),
      h("p", { class: "muted" }, t(`about_${tool}`)),
      toolForm(chosen, (input) => onorder(tool, input)),
    );
  }

  function focusForm() {
    panel.querySelector("input, textarea")?.focus();
    panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  return { elements: [buttons, panel], show, focusForm };
}

function toolButton({ tool, credit_cost: n, priced_per: per }, onclick) {
  const attributes = { type: "button", class: "tool", "data-tool": tool, "aria-pressed": "false" };
  return h(
    "button",
    { ...attributes, onclick },
    icon(declared(tool).icon),
    h("span", {}, t(`tool_${tool}`)),
    h("small", {}, t(per === "step" ? "credits_each" : "credits", { n })),
  );
}
