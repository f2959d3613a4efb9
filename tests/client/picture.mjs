// A PNG of 12 × 9 pixels, made without a library.

import { crc32, deflateSync } from "node:zlib";

const [WIDTH, HEIGHT] = [12, 9];

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

export function picture() {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  // Eight bits per channel, red, green and blue.
  header.set([8, 2, 0, 0, 0], 8);
  const row = (y) => Buffer.from([0, ...Array.from({ length: WIDTH * 3 }, (_, x) => (x * 20 + y * 25) % 256)]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: HEIGHT }, (_, y) => row(y))));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}
