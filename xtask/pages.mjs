// Makes the files of web/build, which the pages load and nobody writes by hand: the client library
// in one file and the contract as JSON.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { parse } from "yaml";

const OUT = "web/build";

mkdirSync(OUT, { recursive: true });
await build({
  stdin: { contents: 'export { createClient } from "@supabase/supabase-js";', resolveDir: "." },
  outfile: `${OUT}/supabase.js`,
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
});
writeFileSync(`${OUT}/openapi.json`, JSON.stringify(parse(readFileSync("openapi.yaml", "utf8"))));
