// Which jobs the admin page lists: by status, tool, age and user.

import { h } from "../elements.js";
import { duration, toolName } from "../format.js";
import { t } from "../words.js";

export const LIVE = ["pending", "queued", "starting", "running"];
const STATUSES = [...LIVE, "completed", "failed", "cancelled"];
/** Ages in minutes; a negative one means younger than that. */
const AGES = [-60, -1440, 2, 10, 60, 1440];
const UUID = "\\s*[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\\s*";

/**
 * Makes the form: its element, `apply(query)`, which narrows a query of `jobs`, and
 * `onlyUser(id)`. The table sets `onchange`.
 */
export function createFilters(tools) {
  const chosen = { status: "", tool: "", user: "", age: "" };
  const filters = { element: form(tools), onchange() {}, apply, onlyUser };
  filters.element.addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(chosen, Object.fromEntries(new FormData(filters.element)));
    chosen.user = chosen.user.trim();
    filters.onchange();
  });

  function apply(query) {
    const { status, tool, user, age } = chosen;
    if (status === "live") query = query.in("status", LIVE);
    else if (status) query = query.eq("status", status);
    if (tool) query = query.eq("tool", tool);
    if (user) query = query.eq("user_id", user);
    if (!age) return query;
    const at = new Date(Date.now() - Math.abs(age) * 60_000).toISOString();
    return age > 0 ? query.lte("created_at", at) : query.gte("created_at", at);
  }

  function onlyUser(id) {
    filters.element.elements.user.value = id;
    filters.element.requestSubmit();
  }

  return filters;
}

function form(tools) {
  const statuses = STATUSES.map((status) => option(status, t(`status_${status}`)));
  const names = tools.map(({ tool }) => option(tool, toolName(tool)));
  return h(
    "form",
    { class: "filters" },
    select("status", [option("live", t("status_live")), statuses]),
    select("tool", names),
    select("age", AGES.map(age)),
    userField(),
  );
}

const option = (value, text) => h("option", { value }, text);

function select(name, options) {
  const onchange = (event) => event.target.form.requestSubmit();
  const list = h("select", { name, onchange }, option("", t("all")), options);
  return h("label", { class: "field" }, h("span", {}, t(`filter_${name}`)), list);
}

function age(minutes) {
  const key = minutes > 0 ? "older_than" : "younger_than";
  return option(minutes, t(key, { time: duration(Math.abs(minutes) * 60) }));
}

function userField() {
  const input = h("input", {
    name: "user",
    type: "search",
    placeholder: "00000000-0000-…",
    pattern: UUID,
    spellcheck: "false",
  });
  return h("label", { class: "field grow" }, h("span", {}, t("filter_user")), input);
}
