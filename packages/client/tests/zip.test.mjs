import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, zip } from "../src/zip.ts";

const text = (content) => new TextEncoder().encode(content);

// Whether programs can read it is tested with a real job's cards.
test("an archive holds its files as they are, and names them at its end", async () => {
  assert.equal(crc32(text("123456789")), 0xcbf43926);
  const blob = zip([
    { name: "card-1.png", bytes: text("one") },
    { name: "Karte-ü.png", bytes: text("two") },
  ]);
  assert.equal(blob.type, "application/zip");
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const end = bytes.length - 22;
  assert.equal(view.getUint32(end, true), 0x06054b50);
  assert.equal(view.getUint16(end + 10, true), 2);
  const central = new TextDecoder().decode(bytes.subarray(view.getUint32(end + 16, true), end));
  assert.ok(central.includes("card-1.png") && central.includes("Karte-ü.png"), central);
});
