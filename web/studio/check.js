// Checks by its content whether a file fits an input, before anything is uploaded.

/** Kind and format of a file, by its first bytes. */
const BEGINNINGS = [
  ["image", "png", /^\x89PNG\r\n\x1a\n/],
  ["image", "jpeg", /^\xff\xd8\xff/],
  ["image", "gif", /^GIF8[79]a/],
  ["image", "webp", /^RIFF[^]{4}WEBP/],
  ["image", "avif", /^[^]{4}ftyp(avif|avis)/],
  ["heic", "heic", /^[^]{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/],
  ["video", "mp4", /^[^]{4}(ftyp|moov|mdat|wide|free|skip)/],
  ["video", "webm", /^\x1a\x45\xdf\xa3/],
];
/** So many first bytes are enough to tell the format. */
const HEAD_BYTES = 16;
/** The largest upload that storage accepts, in bytes (supabase/schemas/platform/storage.sql). */
const BYTES_MAX = 50 * 1024 * 1024;

/**
 * The reason why an input for `kind` (`image` or `video`) refuses the file; null if it accepts it.
 */
export async function refusal(file, kind) {
  if (file.size === 0) return { code: "empty_file" };
  const found = await kindOf(file);
  if (found !== kind) return { code: "wrong_type", details: { found, wanted: kind } };
  if (file.size > BYTES_MAX)
    return { code: "too_large", limit: BYTES_MAX, details: { size: file.size } };
  return null;
}

async function kindOf(file) {
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const text = String.fromCharCode(...head);
  return BEGINNINGS.find(([, , pattern]) => pattern.test(text))?.[0] ?? "other";
}
