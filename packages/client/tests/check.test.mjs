import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../../web/studio/check.js";
import { refuseUnfit, typeOfHead, wantedKind } from "../src/check.ts";

const LIMIT = 50 * 1024 * 1024;
const bytes = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const file = (text, name = "a.png") => new File([bytes(text)], name);
const refused = async (given, field, limit = LIMIT) => {
  const error = await refuseUnfit(given, field, limit).then(
    () => null,
    (reason) => reason,
  );
  return error && [error.code, error.message, error.limit];
};

const HEADS = {
  "image/png": "\x89PNG\r\n\x1a\n",
  "image/jpeg": "\xff\xd8\xff\xe0",
  "image/gif": "GIF89a",
  "image/webp": "RIFF\x10\0\0\0WEBPVP8 ",
  "image/avif": "\0\0\0\x20ftypavif",
  "image/heic": "\0\0\0\x18ftypheic",
  "video/mp4": "\0\0\0\x20ftypisom",
  "video/quicktime": "\0\0\0\x14ftypqt  ",
  "video/webm": "\x1aE\xdf\xa3",
  "video/avi": "RIFF\x10\0\0\0AVI LIST",
};

test("the first bytes tell the type", () => {
  for (const [type, head] of Object.entries(HEADS)) assert.equal(typeOfHead(bytes(head)), type);
  for (const other of ["", "hello", "%PDF-1.7", "<svg xmlns=", "PK\x03\x04"])
    assert.equal(typeOfHead(bytes(other)), null, other);
});

test("an older video begins with any box that the server measures", async () => {
  // The same boxes as in shared/src/core/measure/boxes.rs.
  for (const box of ["moov", "mdat", "wide", "free", "skip"]) {
    const video = file(`\0\0\0\x08${box}\0\0\0\x08`, "clip.mov");
    assert.equal(typeOfHead(new Uint8Array(await video.arrayBuffer())), "video/quicktime", box);
    assert.equal(await refused(video, "videoUrl"), null, box);
    assert.equal(await refusal(video, "video"), null, `the studio takes ${box}`);
    assert.equal((await refused(video, "imageUrl"))?.[0], "wrong_type", box);
  }
});

test("a field's name tells what it takes", () => {
  for (const field of ["imageUrl", "personImageUrl", "person_image", "image", "url"])
    assert.equal(wantedKind(field), "image", field);
  assert.equal(wantedKind("videoUrl"), "video");
  assert.equal(wantedKind("audioUrl"), null);
});

test("a file that fits passes, whatever its name says", async () => {
  assert.equal(await refused(file(HEADS["image/png"], "a.txt"), "imageUrl"), null);
  assert.equal(await refused(file(HEADS["video/quicktime"]), "videoUrl"), null);
  assert.equal(await refused(file("anything"), "audioUrl"), null);
});

test("every other file is refused in words", async () => {
  const picture = "use PNG, JPEG or WebP";
  for (const [given, field, code, message] of [
    [file(""), "imageUrl", "empty_file", "The file is empty; choose it anew"],
    [file("hello"), "imageUrl", "wrong_type", `The file is not a picture; ${picture}`],
    [file(HEADS["image/heic"]), "url", "wrong_type", `HEIC cannot be used here; ${picture}`],
    [file(HEADS["video/mp4"]), "image", "wrong_type", `The file is not a picture; ${picture}`],
    [
      file(HEADS["image/png"]),
      "videoUrl",
      "wrong_type",
      "The file is not a video; use MP4, MOV or WebM",
    ],
  ])
    assert.deepEqual(await refused(given, field), [code, message, null]);
  const large = new Blob([new Uint8Array(3 * 1024 * 1024)]);
  const limit = 2 * 1024 * 1024;
  assert.deepEqual(await refused(large, "imageUrl", limit), [
    "too_large",
    "A file may have up to 2 MB; this one has 3 MB",
    limit,
  ]);
});
