// Refuses a file that cannot be used before it is uploaded: an empty one, one that is too large,
// one of another kind than the tool takes. The kind is read from the first bytes, because a file's
// name may be wrong.

import { JobError } from "./errors.js";

export type FileKind = "image" | "video";

/** So many first bytes are enough to tell the kind. */
const HEAD_BYTES = 16;

/** The kind that a field takes, by the field's name; null if the name does not tell. */
export function wantedKind(field: string): FileKind | null {
  if (/video/i.test(field)) return "video";
  return /image|^url$/i.test(field) ? "image" : null;
}

/** The type of a file that begins with these bytes; null if it is no picture or video. */
export function typeOfHead(bytes: Uint8Array): string | null {
  const text = String.fromCharCode(...bytes.subarray(0, HEAD_BYTES));
  if (text.startsWith("\x89PNG")) return "image/png";
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("GIF8")) return "image/gif";
  if (/^RIFF.{4}WEBP/s.test(text)) return "image/webp";
  if (/^RIFF.{4}AVI /s.test(text)) return "video/avi";
  if (text.startsWith("\x1aE\xdf\xa3")) return "video/webm";
  // An older QuickTime file does not name its type; shared/src/core/measure/boxes.rs takes it too.
  if (/^.{4}(moov|mdat|wide|free|skip)/s.test(text)) return "video/quicktime";
  const brand = text.match(/^.{4}ftyp(.{4})/s)?.[1];
  if (!brand) return null;
  if (/^avi[fs]/.test(brand)) return "image/avif";
  if (/^(hei|hev|mif1|msf1)/.test(brand)) return "image/heic";
  return brand.startsWith("qt") ? "video/quicktime" : "video/mp4";
}

/** Types that browsers do not show and tools do not take. */
const FOREIGN: Record<string, string> = { "image/heic": "HEIC", "video/avi": "AVI" };
const ADVICE: Record<FileKind, string> = {
  image: "use PNG, JPEG or WebP",
  video: "use MP4, MOV or WebM",
};

export const inMegabytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`;

/** Throws a JobError if the field cannot take the file. */
export async function refuseUnfit(file: Blob, field: string, limit: number): Promise<void> {
  // Some browsers lose a file's content between the choice and the upload.
  if (file.size === 0) throw new JobError("empty_file", "The file is empty; choose it anew");
  if (file.size > limit) {
    const sizes = `up to ${inMegabytes(limit)}; this one has ${inMegabytes(file.size)}`;
    const message = `A file may have ${sizes}`;
    throw new JobError("too_large", message, 0, { limit, size: file.size });
  }
  const wanted = wantedKind(field);
  if (!wanted) return;
  const type = typeOfHead(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
  const format = FOREIGN[type ?? ""];
  if (type?.startsWith(`${wanted}/`) && !format) return;
  const words = wanted === "image" ? "picture" : "video";
  const message = format
    ? `${format} cannot be used here; ${ADVICE[wanted]}`
    : `The file is not a ${words}; ${ADVICE[wanted]}`;
  throw new JobError("wrong_type", message, 0, { field, wanted, type });
}
