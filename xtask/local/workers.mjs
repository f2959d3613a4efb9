// Runs every function in one local workerd (Miniflare), fires their crons, and offers controls that
// exist only locally.
//
//   node xtask/local/workers.mjs <config.json>   (`cargo xtask` writes it: xtask/src/workers.rs)
//
// It listens twice on 127.0.0.1: at `port`, the public one (an entry worker in front of the
// gateway, as the platform's edge is), and at `controlPort`, plain Node, which survives a killed
// workerd:
//   POST /__scheduled/<name>   fires that function's scheduled handler and answers once it has
//                              ended; also at <functions url>/__scheduled/<name> on the public port
//   POST /__kill               SIGKILLs workerd and answers once a new one serves
//
// It never builds anything and knows no function by name.

import { createWriteStream, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import path from "node:path";
import process from "node:process";
import workerdPath from "workerd";
import { Log, LogLevel, Miniflare, Response } from "miniflare";
import { matchesCron } from "./crons.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const log = createWriteStream(config.log, { flags: "a" });

// Miniflare keeps the process id of its workerd to itself; a launcher in between writes it down.
const pidFile = path.join(config.stateDir, "workerd.pid");
const launcher = path.join(config.stateDir, "workerd.sh");
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const start = `exec ${quoted(workerdPath.default ?? workerdPath)} "$@"`;
writeFileSync(launcher, `#!/bin/sh\necho $$ > ${quoted(pidFile)}\n${start}\n`, { mode: 0o755 });
process.env.MINIFLARE_WORKERD_PATH = launcher;
// The platform's 128 MB per isolate, as far as V8 can be held to it: heap and wasm memory, but not
// buffers.
process.env.MINIFLARE_WORKERD_V8_FLAGS = "--max-heap-size=128 --wasm-max-mem-pages=2048";

const json = (status, body) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

// What the platform's edge does before a gateway: nothing. Only the local controls branch off here.
const ENTRY = `export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const control = pathname.match(/^(?:\\/functions\\/v1)?(\\/__scheduled\\/.*)$/);
    if (control) {
      const address = "http://control" + control[1];
      return env.CONTROL.fetch(new Request(address, { method: request.method }));
    }
    return env.GATEWAY.fetch(request);
  },
};`;

// What the platform does to a function and workerd alone does not.
const PLATFORM = readFileSync(new URL("platform.mjs", import.meta.url), "utf8");

function workerOptions(worker) {
  const platform = `const PLACEMENT = ${JSON.stringify(worker.placement)};\n${PLATFORM}`;
  return {
    name: worker.name,
    modulesRoot: worker.dir,
    modules: [
      { type: "ESModule", path: path.join(worker.dir, "platform.mjs"), contents: platform },
      { type: "ESModule", path: path.join(worker.dir, "index.js") },
      { type: "CompiledWasm", path: path.join(worker.dir, "index_bg.wasm") },
    ],
    compatibilityDate: config.compatibilityDate,
    compatibilityFlags: ["nodejs_als"],
    bindings: worker.bindings,
    serviceBindings: worker.services,
    queueProducers: worker.queueProducers,
    queueConsumers: worker.queueConsumers,
    ratelimits: worker.ratelimits,
    ...(worker.assets && { assets: worker.assets }),
  };
}

const options = {
  host: "127.0.0.1",
  cf: false,
  log: new Log(LogLevel.WARN),
  handleRuntimeStdio(stdout, stderr) {
    stdout.pipe(log, { end: false });
    stderr.pipe(log, { end: false });
  },
  workers: [
    {
      name: "local-entry",
      modules: true,
      script: ENTRY,
      compatibilityDate: config.compatibilityDate,
      serviceBindings: {
        GATEWAY: config.entry,
        CONTROL: (request) => control(request.method, new URL(request.url).pathname),
      },
    },
    ...config.workers.map(workerOptions),
  ],
};

const mf = new Miniflare(options);
let origin = await mf.ready;

async function fire(worker, cron) {
  const handle = await mf.getWorker(worker.name);
  return handle.scheduled({ cron, scheduledTime: new Date() });
}

async function control(method, pathname) {
  if (method !== "POST") return json(405, { error: "use POST" });
  const name = pathname.match(/^\/__scheduled\/([^/]+)$/)?.[1];
  if (name) {
    const worker = config.workers.find((candidate) => candidate.name === name);
    if (!worker?.crons.length)
      return json(404, { error: `no function ${name} with a cron trigger`, code: "not_found" });
    const result = await fire(worker, worker.crons[0]);
    return json(result.outcome === "ok" ? 200 : 500, { name, ...result });
  }
  if (pathname === "/__kill") {
    process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
    await mf.setOptions(options);
    origin = await mf.ready;
    return json(200, { killed: true });
  }
  return json(404, { error: `no control ${pathname}`, code: "not_found" });
}

function onTheMinute() {
  const at = new Date();
  for (const worker of config.workers)
    for (const cron of worker.crons)
      if (matchesCron(cron, at))
        fire(worker, cron).catch((error) =>
          log.write(
            `${JSON.stringify({ local: "cron", function: worker.name, error: String(error) })}\n`,
          ),
        );
  setTimeout(onTheMinute, 60_000 - (Date.now() % 60_000));
}
if (config.cron) setTimeout(onTheMinute, 60_000 - (Date.now() % 60_000));

createServer(async (request, response) => {
  const answer = await control(request.method, request.url).catch((error) =>
    json(500, { error: String(error) }),
  );
  response.writeHead(answer.status, { "content-type": "application/json" });
  response.end(await answer.text());
}).listen(config.controlPort, "127.0.0.1", () => console.log("ready"));

// workerd sees only a reset as the end of a client that waits for its answer. So every client that
// closes its connection is one that resets it: as on the platform, what its request does then ends,
// but for promises of `waitUntil`.
createTcpServer((client) => {
  const workerd = connect(Number(origin.port), origin.hostname);
  client.pipe(workerd).pipe(client);
  client.on("close", () => workerd.resetAndDestroy()).on("error", () => {});
  workerd.on("error", () => client.destroy());
}).listen(config.port, "127.0.0.1");

async function stop() {
  await mf.dispose();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
