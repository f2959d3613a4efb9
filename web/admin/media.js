// Shows a job's input and results, pictures as pictures.

import { h, link } from "../elements.js";
import { supabase } from "../project.js";
import { t } from "../words.js";

const PICTURE = /\.(avif|gif|jpe?g|png|webp)(\?|$)/i;
const VIDEO = /\.(mov|mp4|webm)(\?|$)/i;
const TEXT_MAX = 2000;

/** The fields of an object as a list; nested lists and objects are shown too. */
export function values(object, none) {
  const entries = Object.entries(object ?? {}).filter(([, value]) => value !== null);
  if (entries.length === 0) return h("p", { class: "muted" }, none);
  return h(
    "dl",
    { class: "values" },
    entries.map(([name, value]) =>
      h("div", {}, h("dt", {}, nameOf(name)), h("dd", {}, shown(value))),
    ),
  );
}

const nameOf = (name) => t.maybe(`field_${name}`) ?? h("code", {}, name);

function shown(value) {
  if (Array.isArray(value)) return h("div", { class: "media-list" }, value.map(shown));
  if (value && typeof value === "object") return values(value, "");
  const text = String(value);
  return /^https?:\/\/\S+$/.test(text)
    ? medium(text)
    : h("span", { class: "text" }, t.maybe(`option_${text}`) ?? cut(text));
}

const cut = (text) => (text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text);

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/**
 * Only files of our own storage are shown: the page's content security policy blocks all others.
 * A user's text may begin like a URL, and a row may have been written by hand.
 */
export function medium(href) {
  if (!URL.canParse(href)) return h("span", { class: "text" }, cut(href));
  const own = [location.origin, new URL(supabase.supabaseUrl).origin].includes(
    new URL(href).origin,
  );
  const name = decoded(new URL(href).pathname.split("/").at(-1));
  if (own && PICTURE.test(href))
    return link(href, h("img", { src: href, alt: name, loading: "lazy" }), { class: "thumb" });
  if (own && VIDEO.test(href))
    return h("video", { src: href, controls: true, preload: "metadata", "aria-label": name });
  return link(href, name || t("result"), { class: "link text" });
}

/** The results of a job, each URL once. */
export function results(job, tasks) {
  const found = new Set([job.output_url, ...tasks.map((task) => task.image_url)]);
  return [...found].filter(Boolean).map(medium);
}
