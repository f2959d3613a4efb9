// How many of a provider's slots are taken.

import { h } from "../elements.js";

/**
 * How many steps a provider works on at once: the learned limit, or the allowed number without one.
 */
export const limitOf = ({ learned_limit: learned, max_concurrent: allowed }) => learned ?? allowed;

/** A bar for the share of slots taken; the numbers stand beside it. */
export function slotsBar(load) {
  const { running } = load;
  const limit = limitOf(load);
  const fill = h("div", { class: running >= limit ? "bar-fill full" : "bar-fill" });
  fill.style.width = `${limit ? Math.min(100, (running / limit) * 100) : 0}%`;
  return h("div", { class: "bar", "aria-hidden": "true" }, fill);
}
