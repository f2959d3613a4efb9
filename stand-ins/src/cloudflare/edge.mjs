// Runs the Workers of the stand-in of Cloudflare's API in one local workerd (Miniflare), as they
// were uploaded and set there, and plays the internet around them.
//
//   node stand-ins/src/cloudflare/edge.mjs <config.json>
//
// The configuration: { api, port, log, key, cert, sites }. `api` is the URL of the stand-in of the
// API; `sites` maps each host of the internet to its address on this machine.
//
// * It asks the API what is in force at each call and when a cron may be due, so a change takes
//   effect with the next call. It adds nothing to what was uploaded: a binding, secret, queue or
//   cron that is missing there is missing here. The one exception is the flag that platform.mjs
//   needs, which does what the platform does to every Worker.
// * It listens at `port` as a proxy of TLS connections (CONNECT) to the hosts of workers.dev and of
//   `sites`, with a certificate of its own. There are no other hosts, for the Workers' own calls
//   either.
// * Crons fire on the minute: only those that are set at the API.

import { createWriteStream, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { TLSSocket } from "node:tls";
import { Log, LogLevel, Miniflare } from "miniflare";
import { matchesCron } from "../../../xtask/local/crons.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const log = createWriteStream(config.log, { flags: "a" });
const note = (event) => log.write(`${JSON.stringify({ edge: event })}\n`);
const folder = await mkdtemp(path.join(tmpdir(), "unstuck-edge-"));
const PLATFORM = readFileSync(
  new URL("../../../xtask/local/platform.mjs", import.meta.url),
  "utf8",
);
const DATE = "2026-07-30";
process.env.MINIFLARE_WORKERD_V8_FLAGS = "--max-heap-size=128 --wasm-max-mem-pages=2048";

// The Worker behind each address. A Worker without an address cannot be called.
const ENTRY = `export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const worker = env["at " + url.host];
    if (!worker) return new Response("There is nothing here yet", { status: 404 });
    url.protocol = "https:";
    return worker.fetch(new Request(url, request));
  },
};`;

// The hosts that the Workers' own calls reach.
const INTERNET = `export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.host.endsWith(".workers.dev")) return env.ENTRY.fetch(request);
    const site = env.SITES[url.host];
    if (!site) throw new Error("there is no host " + url.host);
    const target = site + url.pathname + url.search;
    return fetch(new Request(target, request), { redirect: "manual" });
  },
};`;

async function file(digest) {
  const answer = await fetch(`${config.api}/__files/${digest}`);
  if (!answer.ok) throw new Error(`the API lost the file ${digest}`);
  return Buffer.from(await answer.arrayBuffer());
}

const code = new Map();
async function moduleOf(worker, { name, digest, kind }) {
  if (!code.has(digest)) code.set(digest, await file(digest));
  const type = {
    "application/javascript+module": "ESModule",
    "application/wasm": "CompiledWasm",
  }[kind];
  if (!type) throw new Error(`${worker.name}: the module ${name} is of the kind ${kind}`);
  const contents = code.get(digest);
  return { type, path: path.join("/", worker.name, name), contents };
}

// Writes the pages of one version as files and returns their folder.
async function pagesOf(worker) {
  const directory = path.join(folder, worker.version);
  await mkdir(directory, { recursive: true });
  for (const [page, hash] of Object.entries(worker.pages)) {
    const target = path.join(directory, page);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, await file(hash));
  }
  return directory;
}

async function workerOptions(worker) {
  const { runtime } = worker;
  const of = (type) => worker.bindings.filter((binding) => binding.type === type);
  const named = (type, value) =>
    Object.fromEntries(of(type).map((binding) => [binding.name, value(binding)]));
  const region = runtime.placement?.region ?? null;
  const platform = PLATFORM.replace('"./index.js"', JSON.stringify(`./${runtime.main_module}`));
  const modules = [
    {
      type: "ESModule",
      path: path.join("/", worker.name, "platform.mjs"),
      contents: `const PLACEMENT = ${JSON.stringify(region)};\n${platform}`,
    },
  ];
  for (const uploaded of worker.modules) modules.push(await moduleOf(worker, uploaded));
  const options = {
    name: worker.name,
    modulesRoot: path.join("/", worker.name),
    modules,
    compatibilityDate: runtime.compatibility_date,
    compatibilityFlags: [...(runtime.compatibility_flags ?? []), "nodejs_als"],
    bindings: {
      ...named("plain_text", (binding) => binding.text),
      ...named("secret_text", (binding) => binding.text),
    },
    serviceBindings: named("service", (binding) => binding.service),
    queueProducers: named("queue", (binding) => ({ queueName: binding.queue_name })),
    queueConsumers: Object.fromEntries(
      worker.consumes.map(({ queue, settings }) => [
        queue,
        {
          maxBatchSize: settings.batch_size,
          maxBatchTimeout: settings.max_wait_time_ms / 1000,
          maxRetries: settings.max_retries,
        },
      ]),
    ),
    ratelimits: named("ratelimit", ({ namespace_id, simple }) => ({ namespace_id, simple })),
    outboundService: "internet",
  };
  const [assets] = of("assets");
  if (assets) {
    options.assets = {
      directory: await pagesOf(worker),
      binding: assets.name,
      routerConfig: {
        has_user_worker: true,
        invoke_user_worker_ahead_of_assets: runtime.assets?.config?.run_worker_first === true,
      },
    };
  }
  return options;
}

async function optionsOf(running) {
  const addresses = running.workers.filter((worker) => worker.hasAddress);
  const host = ({ name }) => `at ${name}.${running.subdomain}.workers.dev`;
  const workers = [];
  for (const worker of running.workers) workers.push(await workerOptions(worker));
  return {
    host: "127.0.0.1",
    cf: false,
    log: new Log(LogLevel.WARN),
    handleRuntimeStdio(stdout, stderr) {
      stdout.pipe(log, { end: false });
      stderr.pipe(log, { end: false });
    },
    workers: [
      {
        name: "entry",
        modules: true,
        script: ENTRY,
        compatibilityDate: DATE,
        serviceBindings: Object.fromEntries(addresses.map((worker) => [host(worker), worker.name])),
      },
      {
        name: "internet",
        modules: true,
        script: INTERNET,
        compatibilityDate: DATE,
        bindings: { SITES: config.sites },
        serviceBindings: { ENTRY: "entry" },
      },
      ...workers,
    ],
  };
}

let running = { revision: 0, workers: [] };
let mf;
let origin;

async function takeOver() {
  const answer = await fetch(`${config.api}/__running/${running.revision}`);
  if (answer.status === 204 && mf) return;
  if (answer.status === 200) {
    const next = await answer.json();
    const same = JSON.stringify(next.workers) === JSON.stringify(running.workers);
    running = next;
    // Setting the options ends all runs, which the platform does not do, so it is avoided.
    if (same && mf) return;
  }
  const began = Date.now();
  const options = await optionsOf(running);
  if (mf) await mf.setOptions(options);
  else mf = new Miniflare(options);
  origin = await mf.ready;
  note({ runs: running.revision, workers: running.workers.length, ms: Date.now() - began });
}

// Takes over what is in force. Concurrent calls run one after the other.
let turn = Promise.resolve();
function inForce() {
  const next = turn.then(takeOver);
  turn = next.catch(() => {});
  return next;
}

async function onTheMinute() {
  setTimeout(onTheMinute, 60_000 - (Date.now() % 60_000));
  const at = new Date();
  try {
    await inForce();
    for (const worker of running.workers) {
      for (const cron of worker.crons.filter((cron) => matchesCron(cron, at))) {
        const handle = await mf.getWorker(worker.name);
        handle.scheduled({ cron, scheduledTime: at }).then(
          ({ outcome }) => note({ cron: worker.name, outcome }),
          (error) => note({ cron: worker.name, error: String(error) }),
        );
      }
    }
  } catch (error) {
    note({ minute: String(error) });
  }
}
setTimeout(onTheMinute, 60_000 - (Date.now() % 60_000));

const isWorkers = (host) => host.endsWith(".workers.dev");

// Passes a request on to its host's address.
function forward(host, request, response) {
  const target = new URL(isWorkers(host) ? origin : config.sites[host]);
  const outgoing = httpRequest({
    host: target.hostname,
    port: target.port,
    method: request.method,
    path: target.pathname.replace(/\/$/, "") + request.url,
    headers: request.headers,
  });
  outgoing.on("response", (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  outgoing.on("error", () => response.destroy());
  response.on("close", () => outgoing.destroy());
  request.pipe(outgoing);
}

const site = createServer((request, response) => forward(request.socket.host, request, response));

const proxy = createServer((_, response) => response.writeHead(405).end());
proxy.on("connect", async (request, socket) => {
  const [host] = request.url.split(":");
  socket.on("error", () => socket.destroy());
  try {
    if (isWorkers(host)) await inForce();
    else if (!config.sites[host]) throw new Error(`there is no host ${host}`);
  } catch (error) {
    note({ host, error: String(error) });
    return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  }
  socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
  const { key, cert } = config;
  const tls = new TLSSocket(socket, { isServer: true, key, cert, ALPNProtocols: ["http/1.1"] });
  tls.on("error", () => tls.destroy());
  tls.host = host;
  site.emit("connection", tls);
});
proxy.listen(config.port, "127.0.0.1", () => console.log("ready"));

async function stop() {
  await mf?.dispose();
  await rm(folder, { recursive: true, force: true });
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
