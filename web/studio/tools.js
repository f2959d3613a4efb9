// The tools of the studio: what each function declares in its own studio.js, and which of them the
// database sells.
//
// A declaration has, all but `icon` optional:
//   rank      its position among the tools
//   icon      a name of web/icons.js
//   files     { name, accept, label, many }: a file to drop, or up to `many`
//   fields    { name, type, … }: a `line`, a `text` (both with `max`) or a `choice` of `options`
//             with a `preset`; an `optional` one may stay empty
//   steps     how many steps the values of the form order, where the price is per step
//   order     the request for the values of the form, where it is more than these
//   compares  the file that the result is shown beside
//   result    `video`, `cards` or `files`; otherwise a picture

import { TOOLS as DECLARED } from "../build/tools.js";
import { supabase } from "../project.js";

const FALLBACK = { icon: "coin", rank: Infinity, files: [], fields: [] };

/** The declaration of a tool. */
export const declared = (tool) => ({ ...FALLBACK, ...DECLARED[tool] });

/** The tools that are sold and declared, as rows of `tools`, in the order of their ranks. */
export async function toolsOnSale() {
  const { data, error } = await supabase
    .from("tools")
    .select("tool, credit_cost, priced_per")
    .eq("enabled", true)
    .order("tool");
  if (error) throw error;
  const offered = data.filter(({ tool }) => tool in DECLARED);
  return offered.sort((a, b) => declared(a.tool).rank - declared(b.tool).rank);
}

/** What an order costs with these values of its form. */
export function price({ tool, credit_cost, priced_per }, values) {
  const steps = priced_per === "step" ? (declared(tool).steps?.(values) ?? 1) : 1;
  return credit_cost * steps;
}

/** The request for the values of a form, without those that were left empty. */
export function order(tool, values) {
  const filled = Object.entries(values).filter(([, value]) => value !== "" && value !== null);
  const given = Object.fromEntries(filled);
  return declared(tool).order?.(given) ?? given;
}
