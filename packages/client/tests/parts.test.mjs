import assert from "node:assert/strict";
import { test } from "node:test";
import { changeBy } from "../src/change.ts";
import { JobError } from "../src/errors.ts";
import { extension, hasFiles, replaced, typeOf, withoutFiles } from "../src/files.ts";
import { isSame } from "../src/same.ts";
import { elapsed, firstUpdate } from "../src/state.ts";
import { isPassingUpload, refuse } from "../src/upload.ts";
import { uuid } from "../src/uuid.ts";
import { retried } from "../src/wait.ts";

test("an id is a version 4 UUID where the page is not secure", () => {
  const { randomUUID } = crypto;
  try {
    crypto.randomUUID = undefined;
    const ids = Array.from({ length: 100 }, uuid);
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(new Set(ids).size, 100);
  } finally {
    crypto.randomUUID = randomUUID;
  }
});

test("the files of an input are found wherever they are", async () => {
  const file = new File(["a"], "A photo.JPEG");
  const input = { prompt: "x", list: [{ url: file }, { url: "https://a" }], none: null };
  assert.equal(hasFiles(input), true);
  assert.equal(hasFiles({ prompt: "x", none: null }), false);
  assert.deepEqual(withoutFiles(input), {
    prompt: "x",
    list: [{}, { url: "https://a" }],
    none: null,
  });
  const seen = await replaced(input, async (found, field) => `${field}:${found.name}`);
  assert.equal(seen.list[0].url, "url:A photo.JPEG");
  assert.equal(extension(file), ".jpeg");
  assert.equal(typeOf(file), "image/jpeg");
  assert.equal(typeOf(new Blob(["a"])), "application/octet-stream");
  assert.ok(isSame(input, { ...input, list: [{ url: file }, { url: "https://a" }] }));
  assert.ok(!isSame(input, { ...input, list: [{ url: new File(["a"], "b") }] }));
});

test("two inputs are the same if every value is", () => {
  const url = (text) => new URL(text, "https://a");
  const map = new Map();
  class Order {
    constructor(image) {
      this.image = image;
    }
  }
  for (const [one, other, expected] of [
    [{ at: new Date(1) }, { at: new Date(1) }, true],
    [{ at: new Date(1) }, { at: new Date(2) }, false],
    [{ at: new Date(NaN) }, { at: new Date(NaN) }, true],
    [{ at: new Date(1) }, { at: 1 }, false],
    [{ at: url("b") }, { at: url("c") }, false],
    [{ at: url("b") }, { at: url("b") }, true],
    [new Order("a"), new Order("a"), true],
    [new Order("a"), new Order("b"), false],
    [new Order("a"), { image: "a" }, false],
    [map, map, true],
    [map, new Map(), false],
    [Object.assign(Object.create(null), { a: 1 }), { a: 1 }, true],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }, true],
    [[], {}, false],
    [{ a: undefined }, { b: undefined }, false],
    [{ a: NaN }, { a: NaN }, true],
  ])
    assert.equal(isSame(one, other), expected);
});

test("what is sent as text keeps its value where files are looked for", async () => {
  const sent = { at: new Date(1), link: new URL("https://a/b") };
  const read = (input) => JSON.parse(JSON.stringify(input));
  assert.deepEqual(read(await replaced(sent, async () => "url")), read(sent));
  assert.deepEqual(read(withoutFiles(sent)), read(sent));
  class Order {
    image = new File(["a"], "a.png");
  }
  assert.equal(hasFiles(new Order()), true);
  assert.deepEqual(await replaced(new Order(), async () => "url"), { image: "url" });
});

test("work that is given up in the pause after a failure is not tried once more", async () => {
  const given = new AbortController();
  let tries = 0;
  const work = async () => {
    tries += 1;
    setTimeout(() => given.abort(), 5);
    throw new JobError("network", "nobody answers");
  };
  await assert.rejects(
    retried(work, () => true, 10, given.signal),
    { name: "AbortError" },
  );
  assert.equal(tries, 1);
});

test("what storage says becomes a code and a sentence", () => {
  const file = new Blob([new Uint8Array(2 * 1024 * 1024)]);
  const said = (status, body) => {
    try {
      refuse({ file }, status, typeof body === "string" ? body : JSON.stringify(body));
      return null;
    } catch (error) {
      return [error.code, error.message, isPassingUpload(error)];
    }
  };
  const tooLarge = ["too_large", "Storage takes no file of 2 MB", false];
  assert.deepEqual(said(400, { statusCode: "413", message: "The object exceeded" }), tooLarge);
  assert.deepEqual(said(413, "Maximum size exceeded\n"), tooLarge);
  assert.deepEqual(said(400, { statusCode: "415", message: "mime type a/b is not supported" }), [
    "wrong_type",
    "mime type a/b is not supported",
    false,
  ]);
  assert.deepEqual(said(500, { statusCode: "500", message: "no" }), ["upload_failed", "no", true]);
  assert.deepEqual(said(403, "denied"), ["upload_failed", "denied", false]);
  assert.equal(said(400, { statusCode: "409", error: "Duplicate" }), null, "it has arrived before");
});

test("work is repeated while its error may pass, and no longer", async () => {
  const { signal } = new AbortController();
  const passing = new JobError("network", "gone");
  let tries = 0;
  const work = async () => {
    if (++tries < 3) throw passing;
    return tries;
  };
  assert.equal(await retried(work, (error) => error === passing, 0, signal), 3);
  const failing = async () => {
    tries += 1;
    throw passing;
  };
  tries = 0;
  await assert.rejects(
    retried(failing, () => true, 0, signal),
    passing,
  );
  assert.equal(tries, 4);
  tries = 0;
  await assert.rejects(
    retried(failing, () => false, 0, signal),
    passing,
  );
  assert.equal(tries, 1);
});

test("work that waited for the network has all its tries once that is back", async (context) => {
  const page = new EventTarget();
  const network = { onLine: true };
  const own = ["navigator", "addEventListener"].map((name) => [
    name,
    Object.getOwnPropertyDescriptor(globalThis, name) ?? { value: undefined, configurable: true },
  ]);
  context.after(() => own.forEach(([name, was]) => Object.defineProperty(globalThis, name, was)));
  const set = (name, value) =>
    Object.defineProperty(globalThis, name, { value, configurable: true });
  set("navigator", network);
  set("addEventListener", page.addEventListener.bind(page));
  const gone = new JobError("network", "gone");
  let tries = 0;
  const work = async () => {
    tries += 1;
    // The browser says at the fourth failure that the network is gone.
    network.onLine = tries !== 4;
    if (tries === 4)
      setTimeout(() => {
        network.onLine = true;
        page.dispatchEvent(new Event("online"));
      }, 5);
    throw gone;
  };
  const { signal } = new AbortController();
  await assert.rejects(
    retried(work, () => true, 0, signal),
    gone,
  );
  assert.equal(tries, 4 + 4, "four tries before the network is back, four after");
});

test("every function's words become the same update", () => {
  const known = firstUpdate("id", "tool", { creditsCharged: 60 });
  const change = (answer) => changeBy(answer, known);
  assert.equal(change({ status: "queued", position: 2, etaSeconds: 9 }).state, "waiting");
  assert.equal(change({ status: "generating" }).state, "running");
  assert.equal(change({ status: "completed", result_url: "u" }).outputUrl, "u");
  assert.deepEqual(
    [change({ status: "processing", current_step: 1, total_steps: 3 })].map(
      ({ step, totalSteps }) => [step, totalSteps],
    ),
    [[1, 3]],
  );
  const { error, creditsCharged } = change({
    status: "failed",
    errorMessage: "TIMEOUT: no result. 60 credits were returned.",
  });
  assert.deepEqual(
    [error.code, error.message, creditsCharged],
    ["TIMEOUT", "no result. 60 credits were returned.", 60],
  );
});

test("the time that the provider works is told by one clock at a time", () => {
  const at = (seconds) => new Date(1_700_000_000_000 + seconds * 1000).toISOString();
  const update = (startedAt, completedAt) => ({ startedAt, completedAt });
  assert.equal(elapsed(update(at(0), at(40)), 5_000), 40_000);
  assert.equal(elapsed(update(at(0), null), 5_000), 5_000);
  assert.equal(elapsed(update(null, null), null), null);
  const inTheFuture = new Date(Date.now() + 60_000).toISOString();
  assert.equal(elapsed(update(inTheFuture, null), null), 0, "a clock that is slow");
});
