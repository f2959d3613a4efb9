// The elements of both pages. Each is made as a node, never by parsing markup.

import { time as timeText } from "./format.js";
import { ICONS } from "./icons.js";
import { inWords } from "./words.js";

const SVG = new Set(["svg", "path", "rect", "line", "circle", "g", "text", "title", "polyline"]);
const TOAST_MS = 7000;

/**
 * Makes an element. Attributes and children that are false or null are left out; a function under a
 * name `on…` becomes a listener.
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

/** The listeners of each element, by event type. */
const listeners = new WeakMap();

function listen(element, type, listener) {
  listeners.set(element, { ...listeners.get(element), [type]: listener });
  element.addEventListener(type, hear);
}

const hear = (event) => listeners.get(event.currentTarget)?.[event.type]?.(event);

/** Moves the listeners of `other` to `element`, which takes its place. */
export function takeListeners(element, other) {
  const own = listeners.get(other) ?? {};
  listeners.set(element, own);
  for (const type of Object.keys(own)) element.addEventListener(type, hear);
}

const isNothing = (value) => value === false || value === null || value === undefined;

/** An icon that screen readers skip, because its text stands beside it. */
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

/** A button; `kind` is added to its class. */
export function button(content, onclick, kind = "", attributes = {}) {
  const classes = `button ${kind}`.trim();
  return h("button", { type: "button", class: classes, onclick, ...attributes }, content);
}

/** A sentence about an error, announced by screen readers. */
export function problem(text) {
  return h("p", { class: "problem", role: "alert" }, text);
}

/** A link. An address outside of these pages opens in a new tab. */
export function link(href, content, attributes = {}) {
  const away = href.startsWith("/") ? {} : { target: "_blank", rel: "noopener" };
  return h("a", { class: "link", href, ...away, ...attributes }, content);
}

/** The bar at the top of a page; `end` stands at its right end. */
export function topBar(...end) {
  return h("header", { class: "top" }, brand(), h("div", { class: "top-end" }, end));
}

export function brand() {
  const mark = h("span", { class: "brand-mark" }, icon("logo", 20));
  return h("a", { class: "brand", href: "/" }, mark, "Unstuck");
}

/** The status of a job or a step as a coloured label. */
export function badge(status) {
  return h("span", { class: `badge ${status}` }, inWords("status", status));
}

/** A point in time in its short form; its tooltip shows the exact time. */
export function time(text) {
  const { iso, exact, short } = timeText(text);
  return h("time", { datetime: iso, title: exact }, short);
}

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
document.body.append(toasts);

/** Shows a text for `TOAST_MS`. */
export function toast(text, kind = "good") {
  const mark = icon(kind === "good" ? "check" : "alert");
  const box = h("div", { class: `toast ${kind}` }, mark, h("span", {}, text));
  toasts.append(box);
  setTimeout(() => box.remove(), TOAST_MS);
}
