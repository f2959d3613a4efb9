// Makes a ZIP of files, stored and not compressed: pictures are compressed already. The format is
// that of PKWARE's APPNOTE 6.3.3, sections 4.3.7, 4.3.12 and 4.3.16.

/** 1980-01-01, the first date that the format can express. */
const DATE = 0x21;
/** Version 2.0 of the format, and the flag for names in UTF-8. */
const [VERSION, UTF8] = [20, 0x0800];

/** The archive of files, each `{ name, blob }`, as a Blob. */
export async function zip(files) {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    const common = [
      ...[VERSION, UTF8, 0, 0, DATE].map(two),
      ...[crc32(bytes), bytes.length, bytes.length].map(four),
      ...[path.length, 0].map(two),
    ];
    const head = bytesOf([four(0x04034b50), ...common]);
    const place = [...[0, 0, 0].map(two), four(0), four(offset)];
    parts.push(head, path, bytes);
    directory.push(bytesOf([four(0x02014b50), two(VERSION), ...common, ...place]), path);
    offset += head.length + path.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const counts = [0, 0, files.length, files.length].map(two);
  const end = bytesOf([four(0x06054b50), ...counts, four(size), four(offset), two(0)]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

const two = (value) => [value & 255, (value >> 8) & 255];
const four = (value) => [...two(value & 0xffff), ...two(value >>> 16)];
const bytesOf = (parts) => new Uint8Array(parts.flat());

const TABLE = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
