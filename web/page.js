// What both pages share: the project's client, signing in, building elements, telling the user.
// It makes no markup from text and knows nothing of jobs.

import { createClient } from "./build/supabase.js";
import { language, t } from "./words.js";

export const functionsUrl = `${location.origin}/functions/v1`;

document.documentElement.lang = language;

async function connect() {
  const response = await fetch("/config.json");
  const { supabaseUrl, supabaseKey } = await response.json();
  return createClient(supabaseUrl, supabaseKey, { db: { schema: "unstuck" } });
}
export const supabase = await connect();

const SVG = new Set(["svg", "path", "rect", "line", "circle", "g", "text", "title", "polyline"]);

/** An element. Attributes that are false or null are left out; functions named `on…` listen. */
export function h(tag, attributes = {}, ...children) {
  const element = SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const ICONS = {
  logo: "M4 12a8 8 0 0 1 13.7-5.6M20 12a8 8 0 0 1-13.7 5.6M17 2.5v4.3h-4.3M7 21.5v-4.3h4.3",
  upload:
    "M12 16V4m0 0 4.5 4.5M12 4 7.5 8.5M4 16.5V19a1.5 1.5 0 0 0 1.5 1.5h13A1.5 1.5 0 0 0 20 19v-2.5",
  picture: "M4 5h16v14H4zM4 15.5l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9h.01",
  video: "M3.5 6h11.5v12H3.5zM15 10.5l5.5-3v9l-5.5-3",
  pose: "M12 6.200a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400M12 8v6m0 0-3.5 6.5M12 14l3.5 6.5M5.5 8.5 12 10l6.5-3.5",
  shirt:
    "M8 4 3.5 7l2 3.5L7.5 9.5V20h9V9.5l2 1 2-3.5L16 4c-.8 1.5-2.200 2.200-4 2.200S8.800 5.5 8 4",
  cards: "M4 7.5h10.5v12.5H4zM8 7.5V4h12v12.5h-5.5",
  chain: "M5 12h14M13 6l6 6-6 6M5 6v12",
  site: "M3.5 5h17v14h-17zM3.5 9.5h17M7 7.300h.01M9.5 7.300h.01",
  coin: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17M12 8v8M9.5 10h3.800a1.600 1.600 0 0 1 0 4H9.5",
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M4.5 20h15",
  check: "M5 12.5 10 17.5 19.5 7",
  alert: "M12 8.5v4.5m0 3.200h.01M12 3.5 2.800 19.5h18.400z",
  clock: "M12 7.5V12l3 2M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17",
  close: "M6 6l12 12M18 6 6 18",
  split: "M12 3v18M8.5 8.5 5 12l3.5 3.5M15.5 8.5 19 12l-3.5 3.5",
};

/** An icon that says nothing to a screen reader: its text stands beside it. */
export function icon(name, size = 20) {
  const look = {
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.7,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  };
  return h(
    "svg",
    {
      class: "icon",
      viewBox: "0 0 24 24",
      width: size,
      height: size,
      "aria-hidden": "true",
      ...look,
    },
    h("path", { d: ICONS[name] }),
  );
}

export const brand = () =>
  h(
    "a",
    { class: "brand", href: "/" },
    h("span", { class: "brand-mark" }, icon("logo", 20)),
    "Unstuck",
  );

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
document.body.append(toasts);
const TOAST_MS = 7000;

export function toast(text, kind = "good") {
  const box = h(
    "div",
    { class: `toast ${kind}` },
    icon(kind === "good" ? "check" : "alert"),
    h("span", {}, text),
  );
  toasts.append(box);
  setTimeout(() => box.remove(), TOAST_MS);
}

/** Asks before what cannot be taken back. */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    const answer = (value) => () => dialog.close(value);
    const dialog = h(
      "dialog",
      {
        "aria-labelledby": "ask-title",
        "aria-describedby": "ask-text",
        onclose: () => (dialog.remove(), resolve(dialog.returnValue === "yes")),
      },
      h("h2", { id: "ask-title" }, title),
      h("p", { id: "ask-text" }, text),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          { type: "button", class: "button", autofocus: true, onclick: answer("no") },
          t("keep"),
        ),
        h("button", { type: "button", class: "button danger", onclick: answer("yes") }, action),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows the form until somebody is signed in. */
export async function signedIn(root) {
  const { data } = await supabase.auth.getSession();
  if (data.session) return data.session.user;
  return new Promise((resolve) => {
    const problem = h("p", { class: "problem", role: "alert", hidden: true });
    const button = h("button", { class: "button primary wide", type: "submit" }, t("sign_in"));
    const field = (name, type, complete) =>
      h(
        "label",
        { class: "field" },
        h("span", {}, t(name)),
        h("input", { name, type, required: true, autocomplete: complete }),
      );
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      const { email, password } = Object.fromEntries(new FormData(event.target));
      const { data, error } = await supabase.auth.signInWithPassword({ email, password });
      button.disabled = false;
      problem.hidden = !error;
      problem.textContent = error
        ? t(error.status === 400 ? "sign_in_wrong" : "error_network")
        : "";
      if (!error) resolve(data.user);
    };
    root.replaceChildren(
      h(
        "main",
        { class: "door" },
        h(
          "section",
          { class: "pitch" },
          brand(),
          h("h1", {}, t("pitch")),
          h(
            "ul",
            {},
            ["pitch_1", "pitch_2", "pitch_3"].map((key) => h("li", {}, icon("check"), t(key))),
          ),
        ),
        h(
          "form",
          { class: "panel", onsubmit: submit },
          h("h2", {}, t("welcome")),
          h("p", { class: "muted" }, t("welcome_text")),
          field("email", "email", "username"),
          field("password", "password", "current-password"),
          problem,
          button,
        ),
      ),
    );
  });
}

export async function signOut() {
  await supabase.auth.signOut({ scope: "local" });
  location.reload();
}

/** Calls a function as the signed-in user: a POST where there is a body. */
export async function ask(path, body) {
  const { data } = await supabase.auth.getSession();
  const headers = {
    authorization: `Bearer ${data.session?.access_token}`,
    apikey: supabase.supabaseKey,
    "content-type": "application/json",
  };
  const response = await fetch(`${functionsUrl}/${path}`, {
    method: body ? "POST" : "GET",
    headers,
    body: body && JSON.stringify(body),
  });
  const answer = await response
    .json()
    .catch(() => ({ code: "internal", message: response.statusText }));
  return { ok: response.ok, answer, retryAfter: Number(response.headers.get("retry-after")) || 0 };
}

/** Why there is nothing to show, in words: an empty list would say that all is well. */
export const unread = (error) =>
  t("read_failed", { why: error.message || error.code || t("error_network") });

/** Nobody is an admin by this page's word: it only saves others from empty tables. */
export async function isAdmin(user) {
  const { data, error } = await supabase
    .from("user_roles")
    .select("role")
    .eq("user_id", user.id)
    .eq("role", "admin");
  if (error) throw error;
  return data.length > 0;
}

/** An error of the API in the reader's language, where there is one. */
export function explain(error) {
  const known = t.maybe(`error_${String(error.code).toLowerCase()}`, error.details ?? {});
  return known ?? error.message;
}

const numbers = new Intl.NumberFormat(language);
export const number = (value) => numbers.format(value);

/** 42 s, 3 min, 2 h: as exact as anybody cares. */
export function duration(seconds) {
  const [value, unit] =
    seconds < 60
      ? [seconds, "second"]
      : seconds < 5400
        ? [seconds / 60, "minute"]
        : seconds < 172800
          ? [seconds / 3600, "hour"]
          : [seconds / 86400, "day"];
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: 0,
  }).format(Math.max(0, Math.round(value)));
}

export function time(text) {
  const at = new Date(text);
  const exact = new Intl.DateTimeFormat(language, {
    dateStyle: "medium",
    timeStyle: "medium",
  }).format(at);
  const short = new Intl.DateTimeFormat(language, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  }).format(at);
  return h("time", { datetime: at.toISOString(), title: exact }, short);
}

/** A job's status as a coloured word. */
export function badge(status) {
  return h("span", { class: `badge ${status}` }, t(`status_${status}`));
}
