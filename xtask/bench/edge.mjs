// Measures functions in workerd, with a stand-in of the database that knows one answer. The benches
// `edge` and `cold` of `cargo xtask` call it with a request as JSON and read its answer. It counts
// the CPU time of the process of workerd.

import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import path from "node:path";
import process from "node:process";
import { Log, LogLevel, Miniflare } from "miniflare";
import workerdPath from "workerd";

const asked = JSON.parse(process.argv[2]);
const HOP = "export default { fetch: (request, env) => env.TARGET.fetch(request) };";
const BARE = "export default { fetch: () => new Response(null, { status: 204 }) };";
const JOB = {
  id: "2e8d1515-6f2f-4f7c-9d83-8d7d4f6f3a10",
  tool: "runninghub-upscaler",
  status: "completed",
  created_at: "2026-11-29T12:00:00Z",
  credits_charged: 4,
  output: { url: "https://p.example/storage/v1/object/public/results/2e8d1515.png" },
};
const ROWS = JSON.stringify([{ jobs: Array(asked.jobs ?? 1).fill(JOB), next: null }]);
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

const pidFile = path.join(asked.dir, "workerd.pid");
const launcher = path.join(asked.dir, "workerd.sh");
const program = workerdPath.default ?? workerdPath;
writeFileSync(launcher, `#!/bin/sh\necho $$ > '${pidFile}'\nexec '${program}' "$@"\n`, {
  mode: 0o755,
});
process.env.MINIFLARE_WORKERD_PATH = launcher;

/** CPU milliseconds of workerd until now: Linux counts in hundredths of a second. */
function cpu() {
  const pid = readFileSync(pidFile, "utf8").trim();
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

const modules = (contents) => [{ type: "ESModule", path: "index.mjs", contents }];

/** Limits that no measurement meets. */
const unlimited = (ratelimits) => {
  const wide = ([name, limit]) => [name, { ...limit, simple: { limit: 1e9, period: 60 } }];
  return Object.fromEntries(Object.entries(ratelimits).map(wide));
};

function worker({ name, dir, bindings, ...more }, others) {
  const ratelimits = unlimited(more.ratelimits);
  const modulesRoot = dir;
  const files = [
    { type: "ESModule", path: path.join(dir, "index.js") },
    { type: "CompiledWasm", path: path.join(dir, "index_bg.wasm") },
  ];
  return { ...platform, name, modulesRoot, modules: files, bindings, ratelimits, ...others };
}

const platform = {
  compatibilityDate: asked.compatibilityDate,
  compatibilityFlags: ["nodejs_als"],
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
};

function start(workers) {
  const handleRuntimeStdio = (stdout, stderr) => {
    stdout.resume();
    stderr.resume();
  };
  return new Miniflare({ cf: false, log: new Log(LogLevel.NONE), handleRuntimeStdio, workers });
}

function call(url, headers) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers }, (answer) => {
      answer.on("data", () => {}).on("end", () => resolve(answer.statusCode));
    });
    sent.on("error", reject).end();
  });
}

/** Calls the URL so often, eight at a time; the CPU microseconds of one call. */
async function round(url, headers, calls) {
  const before = cpu();
  let left = calls;
  const caller = async () => {
    while (left-- > 0) {
      const status = await call(url, headers);
      if (status !== 200) throw new Error(`${url} answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, caller));
  return ((cpu() - before) * 1000) / calls;
}

/** All of them in turn, so that each has the same neighbours; the first round warms up. */
async function edge() {
  createServer((call, answer) => {
    call.resume().on("end", () => {
      answer.writeHead(200, { "content-type": "application/json" }).end(ROWS);
    });
  }).listen(asked.databasePort, "127.0.0.1");
  const [jobs, gateway] = asked.functions;
  const twin = await build({
    entryPoints: [path.join(asked.source, "twin.ts")],
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    nodePaths: [path.join(asked.dir, "node_modules")],
  });
  const { bindings } = jobs;
  const ratelimits = unlimited(jobs.ratelimits);
  const text = twin.outputFiles[0].text;
  const mf = start([
    worker(jobs),
    worker(gateway, { serviceBindings: { JOBS: "jobs" } }),
    { ...platform, name: "twin", modules: modules(text), bindings, ratelimits },
    { ...platform, name: "hop", modules: modules(HOP), serviceBindings: { TARGET: "jobs" } },
  ]);
  await mf.ready;
  const headers = { authorization: `Bearer ${asked.token}` };
  const figures = { jobs: [], gateway: [], twin: [], hop: [] };
  const urls = {};
  for (const name in figures)
    urls[name] = new URL("/functions/v1/jobs", await mf.unsafeGetDirectURL(name));
  for (let i = 0; i <= asked.rounds; i++)
    for (const name in figures) {
      const micros = await round(urls[name], headers, asked.calls);
      if (i > 0) figures[name].push(micros);
    }
  await mf.dispose();
  return figures;
}

/** From the start of a process with this worker alone until its first answer. */
async function first(options, pathname) {
  const began = performance.now();
  const mf = start([options]);
  await mf.ready;
  const url = await mf.unsafeGetDirectURL(options.name);
  await call(new URL(pathname, url), {});
  const figure = { cpu: cpu(), ms: performance.now() - began };
  await mf.dispose();
  return figure;
}

/** Each function's first answer, and that of a worker that does nothing. */
async function cold() {
  const bare = { ...platform, name: "bare", modules: modules(BARE) };
  const all = [{ name: "bare", options: bare }];
  for (const each of asked.functions) all.push({ name: each.name, options: worker(each) });
  const figures = all.map(({ name }) => ({ name, cpu: [], ms: [] }));
  for (let i = 0; i < asked.rounds; i++)
    for (const [at, { name, options }] of all.entries()) {
      const figure = await first(options, `/functions/v1/${name}/__settings`);
      figures[at].cpu.push(figure.cpu);
      figures[at].ms.push(figure.ms);
    }
  return figures;
}

const figures = await (asked.measure === "cold" ? cold() : edge());
console.log(JSON.stringify(figures));
process.exit(0);
