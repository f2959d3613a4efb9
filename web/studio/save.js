// Saves results under file names that still mean something in a download folder.

import { button, h, icon, toast } from "../elements.js";
import { explain } from "../format.js";
import { t } from "../words.js";
import { zip } from "./archive.js";
import { jobs } from "./jobs.js";
import { file } from "./service.js";
import { declared } from "./tools.js";

/**
 * A file name such as upscaled-2026-11-29-1f3a.png: kind, day and job. `part` names one file of
 * several.
 */
export function fileName({ id, tool, startedAt }, extension, part) {
  const day = new Date(startedAt ?? Date.now()).toISOString().slice(0, 10);
  const named = [declared(tool).saves, day, id.slice(0, 4), part];
  return `${named.filter(Boolean).join("-")}.${extension}`;
}

/** The file extension in a URL. */
export const extensionOf = (url) => new URL(url).pathname.match(/\.(\w{2,5})$/)?.[1] ?? "bin";

/** A link to a file in storage that the browser downloads under `name`. */
export function saveLink(url, name, content, attributes = {}) {
  const href = `${url}?download=${encodeURIComponent(name)}`;
  return h("a", { class: "button", href, download: name, ...attributes }, content);
}

/** A button that saves a file which must be fetched or built first. */
function saveButton(words, name, get) {
  const content = [icon("download", 18), words];
  const onclick = async () => {
    saver.disabled = true;
    try {
      save(await get(), name);
    } catch (error) {
      toast(explain(error), "bad");
    }
    saver.disabled = false;
  };
  const saver = button(content, onclick, "primary");
  return saver;
}

/** The time that a browser gets to begin the download. */
const BEGUN_MS = 60_000;

function save(blob, name) {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), BEGUN_MS);
}

/** The finished cards, with their names and URLs. */
export const made = ({ answer }) =>
  (answer.tasks ?? [])
    .filter(({ imageUrl }) => imageUrl)
    .map(({ cardIndex, imageUrl }) => ({
      index: cardIndex,
      name: cardName(cardIndex),
      url: imageUrl,
    }));

/** A card's name in a set; its number if there are no words for it. */
export const cardName = (index) => t.maybe(`card_${index}`) ?? t("card", { n: index + 1 });

/** The file name of a card within a set. */
export const cardFile = (update, { index, name, url }) =>
  fileName(update, extensionOf(url), `${index + 1}-${slug(name)}`);

const slug = (text) => text.toLowerCase().replace(/\s+/g, "-");

/** The link or button that saves the whole result. */
export function saveAll(update) {
  const { answer, id, outputUrl } = update;
  const name = fileName(update, "zip");
  if (answer.files) return saveButton(t("download_zip"), name, () => archive(id));
  const cards = made(update);
  if (cards.length > 0) return saveButton(t("download_all"), name, () => zipped(update, cards));
  if (!outputUrl || answer.tasks) return null;
  const content = [icon("download", 18), t("download")];
  const attributes = { class: "button primary" };
  return saveLink(outputUrl, fileName(update, extensionOf(outputUrl)), content, attributes);
}

const archive = async (id) => (await jobs.download(id)).blob;

/** The client's own archive numbers the cards; this one names them. */
async function zipped(update, cards) {
  const get = async (card) => ({
    name: cardFile(update, card),
    blob: await file(card.url),
  });
  return zip(await Promise.all(cards.map(get)));
}
