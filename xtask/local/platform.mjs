// Wraps a built function in what the platform does to it and workerd alone does not.
//
// * At most six connections of one invocation wait for the heads of their answers. Fetches, calls
//   of other functions and messages to queues count; further ones wait for their turn. An upload
//   waits until it is finished. A called function begins with the connections that its caller
//   holds; what it opens later does not count for the caller.
//   (Cloudflare's documentation: Workers, platform, limits, "Simultaneous open connections".)
// * Work goes on for 30 s after a request was answered (`waitUntil`). What asks for a connection
//   later never gets one; what is open then goes on, which the platform would cut.
//   (The same: Workers, runtime APIs, context, "waitUntil".)
// * A function with a `placement` handles fetches, and only those, in its region; its requests then
//   say so in `cf-placement`. (The same: Workers, configuration, placement.)
//
// xtask/local/workers.mjs puts this module in front of every function's index.js, with the
// function's region in PLACEMENT.

import { AsyncLocalStorage } from "node:async_hooks";
import { WorkerEntrypoint } from "cloudflare:workers";
import Built from "./index.js";

const CONNECTIONS = 6;
const AFTER_ANSWER_MS = 30_000;
// How many connections of its callers wait while a function runs.
const TAKEN = "x-local-connections";

const invocations = new AsyncLocalStorage();
const fetchNow = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const request = new Request(input, init);
  const invocation = invocations.getStore();
  if (invocation.region) request.headers.set("cf-placement", `remote-${invocation.region}`);
  return invocation.connect(() => fetchNow(request), request.signal);
};

class Invocation {
  constructor(taken = 0, region = null) {
    this.taken = taken;
    this.region = region;
    this.waiting = [];
    this.endsAt = Infinity;
  }

  answered() {
    this.endsAt = Date.now() + AFTER_ANSWER_MS;
  }

  // Opens a connection as soon as one may be opened, and waits for the head of its answer.
  async connect(open, signal) {
    if (Date.now() > this.endsAt) await new Promise(() => {});
    if (this.taken < CONNECTIONS) this.taken += 1;
    else await this.turn(signal);
    try {
      return await open();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.taken -= 1;
    }
  }

  turn(signal) {
    return new Promise((resolve, reject) => {
      this.waiting.push(resolve);
      signal?.addEventListener("abort", () => {
        const at = this.waiting.indexOf(resolve);
        if (at >= 0) {
          this.waiting.splice(at, 1);
          reject(signal.reason);
        }
      });
    });
  }

  // The bindings, with every call that opens a connection counted.
  bindings(env) {
    const get = (target, name) => {
      const found = Reflect.get(target, name);
      return typeof found === "object" && found !== null ? this.binding(found) : found;
    };
    return new Proxy(env, { get });
  }

  binding(bound) {
    const counted = {
      fetch: (input, init) => {
        const request = new Request(input, init);
        const call = () => {
          request.headers.set(TAKEN, Math.min(this.taken, CONNECTIONS - 1));
          return bound.fetch(request);
        };
        return this.connect(call, request.signal);
      },
      send: (...message) => this.connect(() => bound.send(...message)),
      sendBatch: (...messages) => this.connect(() => bound.sendBatch(...messages)),
    };
    const get = (target, name) => {
      const found = Reflect.get(target, name);
      if (typeof found !== "function" || name === "constructor") return found;
      return counted[name] ?? found.bind(target);
    };
    return new Proxy(bound, { get });
  }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const taken = Number(request.headers.get(TAKEN));
    const invocation = new Invocation(taken, PLACEMENT);
    const answer = await this.invoke("fetch", request, invocation);
    invocation.answered();
    return answer;
  }

  scheduled(event) {
    return this.invoke("scheduled", event, new Invocation());
  }

  queue(batch) {
    return this.invoke("queue", batch, new Invocation());
  }

  invoke(handler, event, invocation) {
    const built = new Built(this.ctx, this.env);
    built.env = invocation.bindings(this.env);
    return invocations.run(invocation, () => built[handler](event));
  }
}
