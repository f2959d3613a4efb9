// Elements that both pages are built of. They are made node by node, never from markup in a text.

import { time as timeText } from "./format.js";
import { ICONS } from "./icons.js";
import { t } from "./words.js";

const SVG = new Set(["svg", "path", "rect", "line", "circle", "g", "text", "title", "polyline"]);
const TOAST_MS = 7000;

/**
 * An element. Leaves out attributes and children that are false or null; a function named `on…`
 * listens.
 */
export function h(tag, attributes = {}, ...children) {
  const element = SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (isNothing(value)) continue;
    if (name.startsWith("on")) listen(element, name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((child) => !isNothing(child)));
  return element;
}

/** The listeners of each element, by the type of the event. */
const listeners = new WeakMap();

function listen(element, type, listener) {
  listeners.set(element, { ...listeners.get(element), [type]: listener });
  element.addEventListener(type, hear);
}

const hear = (event) => listeners.get(event.currentTarget)?.[event.type]?.(event);

/** Gives an element the listeners of another that it becomes. */
export function takeListeners(element, other) {
  const own = listeners.get(other) ?? {};
  listeners.set(element, own);
  for (const type of Object.keys(own)) element.addEventListener(type, hear);
}

const isNothing = (value) => value === false || value === null || value === undefined;

/** An icon that a screen reader passes over: its text stands beside it. */
export function icon(name, size = 20) {
  const attributes = {
    class: "icon",
    viewBox: "0 0 24 24",
    width: size,
    height: size,
    "aria-hidden": "true",
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.7,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  };
  return h("svg", attributes, h("path", { d: ICONS[name] }));
}

/** A button; `kind` adds to its class. */
export function button(content, onclick, kind = "", attributes = {}) {
  const classes = `button ${kind}`.trim();
  return h("button", { type: "button", class: classes, onclick, ...attributes }, content);
}

/** A sentence that says what went wrong. */
export function problem(text) {
  return h("p", { class: "problem", role: "alert" }, text);
}

/** A link within the pages or, where it leads elsewhere, in a tab of its own. */
export function link(href, content, attributes = {}) {
  const away = href.startsWith("/") ? {} : { target: "_blank", rel: "noopener" };
  return h("a", { class: "link", href, ...away, ...attributes }, content);
}

/** The top of a page, with what stands at its end. */
export function topBar(...end) {
  return h("header", { class: "top" }, brand(), h("div", { class: "top-end" }, end));
}

export function brand() {
  const mark = h("span", { class: "brand-mark" }, icon("logo", 20));
  return h("a", { class: "brand", href: "/" }, mark, "Unstuck");
}

/** A job's status as a coloured word. */
export function badge(status) {
  return h("span", { class: `badge ${status}` }, t(`status_${status}`));
}

/** A moment: short, and exact on hovering. */
export function time(text) {
  const { iso, exact, short } = timeText(text);
  return h("time", { datetime: iso, title: exact }, short);
}

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
document.body.append(toasts);

/** Shows a text for some seconds. */
export function toast(text, kind = "good") {
  const mark = icon(kind === "good" ? "check" : "alert");
  const box = h("div", { class: `toast ${kind}` }, mark, h("span", {}, text));
  toasts.append(box);
  setTimeout(() => box.remove(), TOAST_MS);
}
