// Builds the package: `dist/index.js` with what it loads on demand beside it, and the types;
// `--out <folder>` puts them elsewhere. With `--one-file` it prints the files that are made of the
// package for `web/`, as one JSON object.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const here = import.meta.dirname;
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const common = {
  entryPoints: [join(here, "src/index.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["@supabase/supabase-js"],
};

const types = (folder) =>
  execFileSync(process.execPath, [tsc, "--project", here, "--outDir", folder], {
    // Its complaints are no part of what this script prints.
    stdio: ["ignore", 2, 2],
  });

async function buildPackage(dist) {
  rmSync(dist, { recursive: true, force: true });
  await build({
    ...common,
    outdir: dist,
    splitting: true,
    chunkNames: "[name]-[hash]",
    minify: true,
  });
  types(dist);
}

const NOTE = `// Made of packages/client by \`cargo xtask generate\`: the package in one file, for pages
// without a bundler. What each part is for is said there and in client.d.ts.
`;

/** One file has nothing to load on demand. */
const atOnce = {
  name: "at-once",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/(index|upload|download)\.ts$/ }, ({ path }) => {
      const imports = [];
      const text = readFileSync(path, "utf8").replace(
        /const (\{ \w+ \}) = await import\((".*")\);/g,
        (_, names, module) => {
          imports.push(`import ${names} from ${module};\n`);
          return "";
        },
      );
      return { contents: imports.join("") + text, loader: "ts" };
    }),
};

async function oneScript() {
  const { format } = await import("prettier");
  const made = await build({ ...common, write: false, plugins: [atOnce] });
  return NOTE + (await format(made.outputFiles[0].text, { parser: "babel", printWidth: 100 }));
}

/** The declarations of what `index.ts` exports, without what they say of each other's files. */
async function oneDeclaration() {
  const { format } = await import("prettier");
  const folder = mkdtempSync(join(tmpdir(), "unstuck-client-"));
  types(folder);
  const parts = ["contract", "errors", "endpoints", "payable", "types", "index"].map((name) =>
    readFileSync(join(folder, `${name}.d.ts`), "utf8")
      .replace(/^(import|export) [^;]*? from "\.\/[^"]+";\n/gm, "")
      .replace(/^export \{\};\n/gm, ""),
  );
  rmSync(folder, { recursive: true });
  return format(NOTE + parts.join("\n"), { parser: "typescript", printWidth: 100 });
}

const { values: asked } = parseArgs({
  options: {
    "one-file": { type: "boolean" },
    out: { type: "string", default: join(here, "dist") },
  },
});
if (asked["one-file"]) {
  const files = { "client.js": await oneScript(), "client.d.ts": await oneDeclaration() };
  process.stdout.write(JSON.stringify(files));
} else {
  await buildPackage(asked.out);
}
