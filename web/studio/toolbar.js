// The tools on sale: a button for each, and below them the chosen tool: its description, its form,
// and the form's order as code.

import { button, h, icon, problem } from "../elements.js";
import { duration, toolName } from "../format.js";
import { t } from "../words.js";
import { createCode } from "./code.js";
import { toolForm } from "./form.js";
import { createMemory } from "./input.js";
import { usual } from "./pace.js";
import { declared, startingPrice, toolsOnSale } from "./tools.js";

/**
 * Makes the toolbar: its elements, `show(draft)`, `draft` and `refresh` for a changed wallet.
 * `onorder(tool, input, limits)` gets a complete order and resolves once it is answered;
 * `onmissing(credits)` is called if credits are missing; `ontools(tools)` gets the tools on sale. A
 * draft is the chosen tool with the values of its form.
 */
export function createToolbar({ user, wallet, canBuy, onorder, onmissing, ontools }) {
  const buttons = h("div", { class: "tools", role: "group", "aria-label": t("tool") });
  const panel = h("div", { class: "tool-panel" });
  const memory = createMemory();
  let [shown, form, offered] = [null, null, []];

  async function show(draft) {
    const found = await toolsOnSale().catch(() => null);
    if (!found) return panel.replaceChildren(unreachable(() => show(draft)));
    offered = found;
    ontools(offered.map(({ tool }) => tool));
    if (offered.length === 0)
      return panel.replaceChildren(h("p", { class: "muted" }, t("no_tools")));
    buttons.replaceChildren(...offered.map((tool) => toolButton(tool, () => change(tool))));
    buttons.hidden = offered.length < 2;
    if (!take(draft)) choose(offered[0]);
  }

  /** Fills the form from a draft, if its tool is on sale. Returns whether it did. */
  function take(draft) {
    const drafted = offered.find(({ tool }) => tool === draft?.tool);
    if (drafted) choose(drafted, draft.values);
    return Boolean(drafted);
  }

  /** Changes to another tool; the values that its form can use are kept. */
  function change(chosen) {
    if (chosen.tool === shown) return;
    if (form) memory.keep(shown, form.values);
    choose(chosen, memory.recall(chosen.tool));
  }

  function choose(chosen, kept) {
    const { tool } = chosen;
    form?.leave();
    shown = tool;
    for (const other of buttons.children)
      other.setAttribute("aria-pressed", String(other.dataset.tool === tool));
    form = toolForm(chosen, {
      kept,
      wallet,
      canBuy,
      onorder: (input, limits) => onorder(tool, input, limits),
      onmissing,
      onchange: () => code.element.hidden || code.show(),
    });
    const code = createCode(tool, { user, get: () => form.values });
    code.element.hidden = true;
    panel.replaceChildren(about(chosen, form.element, code), form.element, code.element);
  }

  function focusForm() {
    panel.querySelector(":is(input, textarea):not(:disabled)")?.focus({ preventScroll: true });
    panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  const draft = () => ({ tool: shown, values: form?.values });
  return {
    elements: [buttons, panel],
    show,
    take,
    focusForm,
    draft,
    refresh: () => form?.refresh(),
  };
}

function unreachable(onretry) {
  const retry = button([icon("retry", 18), t("retry")], onretry);
  return h("div", { class: "unreachable" }, problem(t("error_network")), retry);
}

/** The tool's description, price and usual duration, and the button that shows its code. */
function about(sold, form, code) {
  const { tool } = sold;
  const whole = usual(tool);
  const facts = [
    [icon("coin", 16), startingPrice(sold)],
    whole && [icon("clock", 16), t("usually", { time: duration(whole) })],
  ];
  const toggle = () => {
    form.hidden = !form.hidden;
    code.element.hidden = !form.hidden;
    coder.setAttribute("aria-pressed", String(form.hidden));
    if (form.hidden) code.show();
  };
  const coder = button([icon("code", 16), t("code")], toggle, "quiet small", {
    "aria-pressed": "false",
  });
  return h(
    "header",
    { class: "tool-about" },
    h("div", {}, h("h2", {}, toolName(tool)), coder),
    h("p", { class: "muted" }, t.maybe(`about_${tool}`)),
    h(
      "p",
      { class: "tool-facts" },
      facts.filter(Boolean).map((fact) => h("span", {}, fact)),
    ),
  );
}

function toolButton(sold, onclick) {
  const { tool } = sold;
  const attributes = { type: "button", class: "tool", "data-tool": tool, "aria-pressed": "false" };
  return h(
    "button",
    { ...attributes, onclick },
    icon(declared(tool).icon),
    h("span", {}, toolName(tool)),
    h("small", {}, startingPrice(sold)),
  );
}
