// Finds and replaces the files in an input.

/** Types by file extension, for files whose type the system does not know. */
const TYPES: Record<string, string> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  avif: "image/avif",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
};

/** Whether the value is sent field by field, and not as text, as a date or a URL is. */
const hasFields = (value: unknown): value is object =>
  value !== null && typeof value === "object" && !(value instanceof Blob) && !("toJSON" in value);

/** Whether the value contains a file. */
export function hasFiles(value: unknown): boolean {
  if (value instanceof Blob) return true;
  return hasFields(value) && Object.values(value).some(hasFiles);
}

/** The input without its files. A list keeps its length. */
export function withoutFiles(value: any): any {
  if (Array.isArray(value)) return value.map(withoutFiles);
  if (!hasFields(value)) return value;
  const fields = Object.entries(value).filter(([, part]) => !(part instanceof Blob));
  return Object.fromEntries(fields.map(([name, part]) => [name, withoutFiles(part)]));
}

/**
 * The input with each file replaced by the result of `replace`; `field` is the file's field name.
 */
export async function replaced(
  value: any,
  replace: (file: Blob, field: string) => Promise<unknown>,
  field = "",
): Promise<any> {
  if (value instanceof Blob) return replace(value, field);
  if (Array.isArray(value)) return Promise.all(value.map((part) => replaced(part, replace, field)));
  if (!hasFields(value)) return value;
  const fields = Object.entries(value).map(async ([name, part]) => [
    name,
    await replaced(part, replace, name),
  ]);
  return Object.fromEntries(await Promise.all(fields));
}

/**
 * The extension of a file's name, with its dot; without a name, it is made from the file's type.
 */
export function extension(file: Blob & { name?: string }): string {
  const named = file.name?.match(/\.[a-z0-9]{1,5}$/i)?.[0];
  const text = named ?? `.${file.type.split("/")[1] ?? "bin"}`;
  return text.toLowerCase().replace(/[^.a-z0-9]/g, "");
}

export function typeOf(file: Blob): string {
  return file.type || TYPES[extension(file).slice(1)] || "application/octet-stream";
}
