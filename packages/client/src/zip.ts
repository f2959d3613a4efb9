// Puts files into one archive without compression: pictures would not become smaller.

interface ZipEntry {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
/** The flag for names in UTF-8. */
const FLAGS = 0x0800;
/** The version that can read the archive, and 1980-01-01, the first day that the format knows. */
const [VERSION, DAY] = [20, 0x21];

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

export function zip(entries: ZipEntry[]): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const central: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const path = new TextEncoder().encode(name);
    const size = bytes.length;
    const common = [
      [2, FLAGS],
      [2, 0],
      [2, 0],
      [2, DAY],
      [4, crc32(bytes)],
    ];
    const sizes = [
      [4, size],
      [4, size],
      [2, path.length],
      [2, 0],
    ];
    const head = fields([[4, LOCAL], [2, VERSION], ...common, ...sizes]);
    parts.push(head, path, bytes);
    const rest = [
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, offset],
    ];
    central.push(
      fields([[4, CENTRAL], [2, VERSION], [2, VERSION], ...common, ...sizes, ...rest]),
      path,
    );
    offset += head.length + path.length + size;
  }
  const count = entries.length;
  const length = central.reduce((sum, part) => sum + part.length, 0);
  const end = [
    [4, END],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, length],
    [4, offset],
    [2, 0],
  ];
  return new Blob([...parts, ...central, fields(end)], { type: "application/zip" });
}

/** Encodes numbers, each given as its width in bytes and its value, with the lowest byte first. */
function fields(values: number[][]): Uint8Array<ArrayBuffer> {
  const bytes = values.flatMap(([width = 0, value = 0]) =>
    Array.from({ length: width }, (_, at) => (value >>> (8 * at)) & 0xff),
  );
  return Uint8Array.from(bytes);
}
