// Makes the files of web/build, which the pages load and nobody writes by hand: the client library
// in one file, the contract as JSON, and what the functions declare for the studio.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { parse } from "yaml";

const OUT = "web/build";

/** Bundles a module that is given as text. */
const bundle = (contents, file, options) =>
  build({
    stdin: { contents, resolveDir: "." },
    outfile: `${OUT}/${file}`,
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
    ...options,
  });

mkdirSync(OUT, { recursive: true });

const client = 'export { createClient } from "@supabase/supabase-js";';
await bundle(client, "supabase.js", { minify: true });

const tools = readdirSync("functions").filter((name) => existsSync(`functions/${name}/studio.js`));
const imports = tools.map((name, n) => `import tool${n} from "./functions/${name}/studio.js";`);
const entries = tools.map((name, n) => `"${name}": tool${n},`);
await bundle([...imports, "export const TOOLS = {", ...entries, "};"].join("\n"), "tools.js");

writeFileSync(`${OUT}/openapi.json`, JSON.stringify(parse(readFileSync("openapi.yaml", "utf8"))));
