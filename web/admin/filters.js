// The filters of a list of jobs. They stand in the URL, so that a list can be shared and reloaded,
// and Back leaves it.

import { h } from "../elements.js";
import { duration, toolName } from "../format.js";
import { supabase } from "../project.js";
import { inWords, t } from "../words.js";
import { UUID } from "./names.js";
import { address, go } from "./router.js";

export const LIVE = ["pending", "queued", "starting", "running"];
const STATUSES = [...LIVE, "completed", "failed", "cancelled"];
const ERRORS = [
  "TIMEOUT",
  "QUEUE_TIMEOUT",
  "PROVIDER_REJECTED",
  "PROVIDER_FAILED",
  "CONTENT_REFUSED",
  "DELIVERY_FAILED",
  "CANCELLED",
  "ORPHANED",
];
/** Ages in minutes; a negative one means "younger than". */
const AGES = [-15, -60, -1440, -10_080, 2, 10, 60, 1440];
/**
 * How long a job is past its deadline when every healer should have ended it: `sql_wait` and
 * `grace` of `unstuck_private.intervals()`.
 */
const STUCK_MINUTES = 5;
const NAMES = ["status", "tool", "provider", "error", "age", "user"];
/** An id as a person may paste it, with spaces around it and capital letters. */
const PASTED = `\\s*${UUID.replaceAll("a-f", "a-fA-F")}\\s*`;

/** The filters in the parameters of a URL. */
export function chosenIn(parameters) {
  const named = NAMES.filter((name) => parameters[name]).map((name) => [name, parameters[name]]);
  return Object.fromEntries(named);
}

/**
 * Makes a function `matching(chosen, columns, options)`, which returns the query for the matching
 * jobs.
 */
export const createMatching = (tools) => (chosen, columns, options) =>
  narrowed(supabase.from("jobs").select(columns, options), chosen, tools);

function narrowed(jobs, chosen, tools) {
  const { status, tool, provider, error, age, user } = chosen;
  if (status === "live") jobs = jobs.in("status", LIVE);
  else if (status === "stuck") jobs = stuckAmong(jobs);
  else if (status) jobs = jobs.eq("status", status);
  if (tool) jobs = jobs.eq("tool", tool);
  if (provider) jobs = jobs.in("tool", toolsOf(provider, tools));
  if (error) jobs = jobs.eq("error_code", error);
  if (user) jobs = jobs.eq("user_id", user);
  const { before, after } = span(age);
  if (before) jobs = jobs.lte("created_at", before);
  if (after) jobs = jobs.gte("created_at", after);
  return jobs;
}

/** What `count_stuck` counts, and so `health`. A quarantined job is a violation. */
function stuckAmong(jobs) {
  const bound = new Date(Date.now() - STUCK_MINUTES * 60_000).toISOString();
  return jobs.in("status", LIVE).is("quarantined_at", null).lte("deadline_at", bound);
}

const toolsOf = (provider, tools) =>
  tools.filter((tool) => tool.provider === provider).map(({ tool }) => tool);

/** An age in minutes as a limit of `created_at`. */
export function span(age) {
  if (!age) return {};
  const at = new Date(Date.now() - Math.abs(age) * 60_000).toISOString();
  return age > 0 ? { before: at } : { after: at };
}

/** The filters in words; null if there are none. */
export function filterInWords(chosen) {
  const words = NAMES.filter((name) => chosen[name]).map(
    (name) => `${t(`filter_${name}`)}: ${valueInWords(name, chosen[name])}`,
  );
  return words.length ? words.join(" · ") : null;
}

function valueInWords(name, value) {
  if (name === "status") return inWords("status", value);
  if (name === "tool") return toolName(value);
  if (name === "error") return inWords("code", value);
  return name === "age" ? ageInWords(Number(value)) : value;
}

function ageInWords(minutes) {
  const key = minutes > 0 ? "older_than" : "younger_than";
  return t(key, { time: duration(Math.abs(minutes) * 60) });
}

/** The form of the filters. Each choice opens a URL of its own. */
export function filterForm({ chosen, place, tools, extra = {} }) {
  const options = {
    status: ["live", "stuck", ...STATUSES].map((status) => [status, t(`status_${status}`)]),
    tool: tools.map(({ tool }) => [tool, toolName(tool)]),
    provider: [...new Set(tools.map(({ provider }) => provider))]
      .sort()
      .map((name) => [name, name]),
    error: ERRORS.map((code) => [code, inWords("code", code)]),
    age: AGES.map((age) => [String(age), ageInWords(age)]),
  };
  const onsubmit = (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    go(address(place, { ...values, user: values.user.trim(), ...extra }));
  };
  const selects = Object.entries(options).map(([name, list]) =>
    select(name, list, { value: chosen[name] }),
  );
  return h("form", { class: "filters", onsubmit }, selects, userField(chosen.user));
}

/** A select that submits its form at once. Its first option is "all". */
export function select(name, options, { value = "", label = t(`filter_${name}`) }) {
  const onchange = (event) => event.target.form.requestSubmit();
  const choices = [["", t("all")], ...options].map(([own, text]) =>
    h("option", { value: own, selected: own === value }, text),
  );
  const list = h("select", { name, onchange }, choices);
  return h("label", { class: "field" }, h("span", {}, label), list);
}

function userField(value = "") {
  const input = h("input", {
    name: "user",
    type: "search",
    value,
    placeholder: "00000000-0000-…",
    pattern: PASTED,
    spellcheck: "false",
    autocomplete: "off",
  });
  return h("label", { class: "field grow" }, h("span", {}, t("filter_user")), input);
}
