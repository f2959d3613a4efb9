// Calls `send` of `shared/src/edge/bridge.js` in workerd, and prints what it says of requests that
// cannot be sent, that nobody answers and that are answered.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

const BRIDGE = fileURLToPath(new URL("../../shared/src/edge/bridge.js", import.meta.url));
const WRANGLER = new URL("../../wrangler.toml", import.meta.url);
const [, compatibilityDate] = /compatibility_date = "(.+)"/.exec(readFileSync(WRANGLER, "utf8"));
const WORKER = `
import { send } from ${JSON.stringify(BRIDGE)};

export default {
  async fetch(request) {
    const { method, url, lines, body } = await request.json();
    const said = send(method, url, lines, body, 5000, undefined);
    return Response.json(await said.then((text) => ({ text }), (error) => ({ lost: error.name })));
  },
};`;

const server = createServer((call, answer) => {
  const { accept, "x-b": second } = call.headers;
  if (call.url === "/moved") return answer.writeHead(302, { location: "/" }).end("elsewhere");
  let read = "";
  call.on("data", (part) => (read += part));
  call.on("end", () => {
    answer.writeHead(200, { "content-type": "text/plain", "retry-after": "7" });
    answer.end(`${call.method} ${read} ${accept} ${second}\n`);
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const there = `http://127.0.0.1:${server.address().port}`;
const edge = new Miniflare({
  modules: true,
  modulesRoot: "/",
  modulesRules: [{ type: "ESModule", include: ["**/*.js"] }],
  scriptPath: fileURLToPath(new URL("worker.js", import.meta.url)),
  script: WORKER,
  compatibilityDate,
});

const ask = async (request) => {
  const body = JSON.stringify({ method: "POST", url: there, lines: "", body: "b", ...request });
  return (await edge.dispatchFetch("http://edge.test/", { method: "POST", body })).json();
};

console.log(
  JSON.stringify({
    noUrl: await ask({ url: "nowhere" }),
    noHeader: await ask({ lines: "a b\n1" }),
    noValue: await ask({ lines: "a\n1\r2" }),
    nobody: await ask({ url: "http://127.0.0.1:9/" }),
    moved: await ask({ url: `${there}/moved` }),
    answered: await ask({ lines: "accept\nx\nx-b\ny" }),
  }),
);
await edge.dispose();
server.close();
