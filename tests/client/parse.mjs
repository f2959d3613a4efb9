// Parses every script of a project; one that does not parse ends this with its error.

import { text } from "node:stream/consumers";
import { transform } from "esbuild";

let parsed = 0;
for (const { path, content } of JSON.parse(await text(process.stdin))) {
  const loader = path.match(/\.(tsx|ts|jsx|js)$/)?.[1];
  if (!loader) continue;
  await transform(content, { loader, sourcefile: path });
  parsed += 1;
}
console.log(JSON.stringify({ parsed }));
