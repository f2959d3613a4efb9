// The tools of the studio: what each function declares in its own studio.js, and which of them the
// database sells.
//
// A declaration has, all but `icon` optional:
//   rank      its position among the tools
//   icon      a name of web/icons.js
//   files     { name, accept, label, many }: a file to drop, or up to `many`
//   fields    { name, type, … }: a `line`, a `text` (both with `max`), a `choice` of `options` with
//             a `preset`, or `several` of them; an `optional` one may stay empty. The name of an
//             option is the word of `words` and its number, or a number with its `unit`
//   piece     what a step makes, where the price is per step
//   order     the request for the values of the form, where it is more than these
//   values    the values of the form for a request: the other way round
//   saves     how the file of a result is named
//   compares  the file that the result is shown beside
//   result    `video`, `cards` or `files`; otherwise a picture
//   previews  whether a browser can show the files as they are

import { TOOLS as DECLARED } from "../build/tools.js";
import { inWords, t } from "../words.js";
import { jobs } from "./jobs.js";

const FALLBACK = {
  icon: "coin",
  rank: Infinity,
  files: [],
  fields: [],
  piece: "step",
  saves: "result",
};

/** The declaration of a tool, with the defaults. */
export const declared = (tool) => ({ ...FALLBACK, ...DECLARED[tool] });

/** The tools that are on sale and declared, in the order of their ranks. */
export async function toolsOnSale() {
  const sold = await jobs.tools();
  const offered = sold.filter(({ tool }) => tool in DECLARED);
  return offered.sort((a, b) => declared(a.tool).rank - declared(b.tool).rank);
}

/** The lowest price of an order and its unit, in words. */
export function startingPrice({ tool, credits, pricedPer, rules }) {
  const prices = [{ credits, pricedPer }, ...rules.map(smallest)];
  const least = prices.reduce((a, b) => (b.credits < a.credits ? b : a));
  const varies = prices.some((price) => price.varies || price.credits !== least.credits);
  const per = least.pricedPer === "step" ? declared(tool).piece : least.pricedPer;
  const words = t(varies ? "credits_from" : "credits", { n: least.credits });
  return per === "job" ? words : `${words} ${inWords("per", per)}`;
}

/** The price of the smallest order to which a rule applies. */
const smallest = ({ credits, pricedPer, creditsMin }) =>
  creditsMin === null
    ? { credits, pricedPer }
    : { credits: Math.max(credits, creditsMin), pricedPer: "job", varies: true };

/** The request for a form's values, without those that are empty. */
export function order(tool, values) {
  const filled = Object.entries(values).filter(([, value]) => value !== "" && value !== null);
  const given = Object.fromEntries(filled);
  return declared(tool).order?.(given) ?? given;
}

/** The request whose price is asked for: missing files and texts are replaced by placeholders. */
export function priced(tool, values) {
  const { files, fields } = declared(tool);
  const there = { ...values };
  for (const { name, many } of files) {
    const count = Math.max(1, values[name]?.length ?? 0);
    there[name] = many
      ? Array.from({ length: count }, () => new Blob())
      : (values[name] ?? new Blob());
  }
  for (const { name, type, optional } of fields)
    if (["line", "text"].includes(type) && !(optional && values[name] === "")) there[name] = "…";
  return order(tool, there);
}
