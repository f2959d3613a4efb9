// Makes the shown elements equal to the wanted ones, node by node. An element that stays keeps its
// focus, its selected text and its position under the pointer.

import { takeListeners } from "../elements.js";

/**
 * Gives `parent` these children. A row with a `data-key` is matched by its key, whatever its
 * position.
 */
export function patch(parent, ...children) {
  const wanted = children.flat(3).filter((child) => child !== null && child !== undefined && child);
  patchChildren(
    parent,
    wanted.map((child) => (typeof child === "string" ? new Text(child) : child)),
  );
}

const keyOf = (node) => node.dataset?.key;

function patchChildren(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  const keyed = new Map();
  for (const child of [...parent.children]) {
    const key = keyOf(child);
    if (key === undefined) continue;
    if (keys.has(key)) keyed.set(key, child);
    else child.remove();
  }
  let here = parent.firstChild;
  for (const node of wanted) {
    const old = predecessor(node, here, keyed);
    if (!old) {
      parent.insertBefore(node, here);
      continue;
    }
    if (old === here) here = here.nextSibling;
    else parent.insertBefore(old, here);
    if (old !== node) patchNode(old, node);
  }
  while (here) {
    const next = here.nextSibling;
    here.remove();
    here = next;
  }
}

/** The existing node that can be turned into `node`, or null. */
function predecessor(node, here, keyed) {
  const key = keyOf(node);
  const old = key === undefined ? here : keyed.get(key);
  if (!old || old.nodeName !== node.nodeName || keyOf(old) !== key) return null;
  return old;
}

function patchNode(old, node) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  patchAttributes(old, node);
  takeListeners(old, node);
  patchChildren(old, [...node.childNodes]);
}

function patchAttributes(old, node) {
  for (const { name } of [...old.attributes])
    if (!node.hasAttribute(name) && !isOwn(old, name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) {
    if (old.getAttribute(name) === value || isOwn(old, name)) continue;
    // The page's content security policy forbids to set the attribute `style`, but not `cssText`.
    if (name === "style") old.style.cssText = node.style.cssText;
    else old.setAttribute(name, value);
    if (name === "value" && "value" in old) old.value = value;
    if (name === "selected") old.selected = true;
  }
}

/** Whether the user sets the attribute, and not the page. */
const isOwn = (element, name) => name === "open" && element.nodeName === "DETAILS";
