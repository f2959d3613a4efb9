// Makes the files of web/build, which the pages load and nobody writes by hand: the client library
// in one file, the contract and the operator's questions as JSON, and what the functions declare
// for the studio.

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

/** A paragraph of Markdown, a table, a list or a block of code. */
function block(text) {
  const fence = /^```\w*\n([^]*)\n```$/.exec(text);
  if (fence) return { code: fence[1] };
  const lines = text.split("\n");
  const cells = (line) =>
    line
      .slice(1, -1)
      .trim()
      .split(" | ")
      .map((cell) => cell.trim());
  if (lines[0].startsWith("|")) return { rows: [lines[0], ...lines.slice(2)].map(cells) };
  if (/^\d\. /.test(text)) {
    return {
      items: text
        .split(/^\d\. /m)
        .slice(1)
        .map((item) => item.replace(/\s+/g, " ").trim()),
    };
  }
  return { text: text.replace(/\s+/g, " ") };
}

const questions = readFileSync("docs/operations.md", "utf8").split("\n## ").slice(1);
const answered = questions.map((section) => {
  const [, number, title, text] = /^(\d+)\. ([^\n]*)\n([^]*)$/.exec(section);
  const blocks = text.trim().match(/```[^]*?```|(?:(?!```).+\n?)+/g);
  return { number: Number(number), title, blocks: blocks.map((part) => block(part.trim())) };
});
writeFileSync(`${OUT}/operations.json`, JSON.stringify(answered));
