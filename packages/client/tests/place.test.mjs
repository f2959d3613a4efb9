// What a page says when it is left, by what it knows of the functions.

import assert from "node:assert/strict";
import { test } from "node:test";
import { JobError } from "../src/errors.ts";

let kept = null;
globalThis.sessionStorage = {
  getItem: () => kept,
  setItem: (_, text) => (kept = text),
  removeItem: () => (kept = null),
};

/** Each page of a tab loads the module anew. */
const loads = [
  () => import("../src/place.ts?1"),
  () => import("../src/place.ts?2"),
  () => import("../src/place.ts?3"),
  () => import("../src/place.ts?4"),
  () => import("../src/place.ts?5"),
  () => import("../src/place.ts?6"),
  () => import("../src/place.ts?7"),
];

const job = (id, state) => ({ id, update: { state } });
const [UPLOADING, WAITING] = [job("up", "uploading"), job("wait", "waiting")];

/** What the functions say to `stay`, if anything. */
const nothing = () => new Promise(() => {});
const well = async () => ({ success: true });
const failed = async (status) => {
  throw new JobError(status === 404 ? "not_found" : "network", "no", status);
};

/** The next page of the tab: opens, says that it is there, and is left for another. */
async function visit(stay, { isShopping = false, jobs = [WAITING], ...options } = {}) {
  const { Place } = await loads.shift()();
  const said = [];
  const connection = {
    token: "token",
    call: () => stay(),
    request: async (path, body) => said.push([path.split("/")[1], body]),
  };
  const place = new Place(connection, options, () => jobs);
  place.update();
  await new Promise((resolve) => setTimeout(resolve));
  place.isShopping = isShopping;
  place.hide();
  return { said, sessionId: place.sessionId };
}

const goodbye = (sessionId, graceSeconds = 30) => ["leave-session", { sessionId, graceSeconds }];

test("a grace period that the functions would refuse is refused at once", async () => {
  const { Place } = await import("../src/place.ts?grace");
  for (const graceSeconds of [-1, 12.5, 301, NaN, "30"])
    assert.throws(() => new Place({}, { graceSeconds }, () => []), RangeError);
  for (const graceSeconds of [0, 300, undefined, null])
    assert.doesNotThrow(() => new Place({}, { graceSeconds }, () => []));
});

/** The next tab. */
test.beforeEach(() => (kept = null));

test("a page that is reloaded keeps what waits, whatever it has heard", async () => {
  const first = await visit(nothing);
  const { sessionId } = first;
  assert.deepEqual(first.said, [goodbye(sessionId)], "right after the order");
  const second = await visit(() => failed(0), { jobs: [UPLOADING, WAITING] });
  const upload = ["cancel-session", { sessionId: "up", jobIds: ["up"] }];
  assert.deepEqual(second, { said: [upload, goodbye(sessionId)], sessionId });
});

test("functions without a grace are told to cancel, by the next page as well", async () => {
  const first = await visit(() => failed(404));
  const { sessionId } = first;
  const all = (...jobIds) => [["cancel-session", { sessionId, jobIds }]];
  assert.deepEqual(first.said, all("wait"));
  const second = await visit(nothing, { jobs: [UPLOADING, WAITING] });
  assert.deepEqual(second, { said: all("up", "wait"), sessionId });
  // They were replaced by newer ones.
  const third = await visit(well);
  assert.deepEqual(third, { said: [goodbye(sessionId)], sessionId });
});

test("a page at the checkout has longer, and one that keeps its jobs says nothing", async () => {
  const shopping = await visit(nothing, { isShopping: true });
  assert.deepEqual(shopping.said, [goodbye(shopping.sessionId, 300)]);
  const keeping = await visit(nothing, { isShopping: true, onLeave: "keep" });
  assert.deepEqual(keeping.said, []);
});
