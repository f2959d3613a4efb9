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
  // The names of files in what is made do not depend on who makes it.
  absWorkingDir: join(here, "../.."),
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

const NOTE = `// Made of packages/client by \`cargo xtask generate\`: the package in one file, for
// pages without a bundler. What each part is for is said there and in client.d.ts.
`;

/** One file has nothing to load on demand. */
const atOnce = {
  name: "at-once",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/(index|upload|download|follower)\.ts$/ }, ({ path }) => {
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
  const made = await build({ ...common, write: false, metafile: true, plugins: [atOnce] });
  const [{ exports }] = Object.values(made.metafile.outputs);
  const script = await format(made.outputFiles[0].text, { parser: "babel", printWidth: 100 });
  return { script: NOTE + script, exports };
}

/**
 * The declarations of all that `index.ts` exports, without what they say of each other's files.
 * `exports` are the values that the script exports: no other value is declared as exported.
 */
async function oneDeclaration(exports) {
  const { format } = await import("prettier");
  const folder = mkdtempSync(join(tmpdir(), "unstuck-client-"));
  types(folder);
  const parts = ["contract", "errors", "endpoints", "payable", "types", "index"].map((name) =>
    readFileSync(join(folder, `${name}.d.ts`), "utf8")
      .replace(/^(import|export) [^;]*? from "\.\/[^"]+";\n/gm, "")
      .replace(/^export \{\};\n/gm, ""),
  );
  rmSync(folder, { recursive: true });
  const text = parts
    .join("\n")
    .replace(/^export (declare (?:function|const|class) (\w+))/gm, (whole, rest, name) =>
      exports.includes(name) ? whole : rest,
    );
  // Without it, what is declared without `export` would be exported all the same.
  const declaration = `${NOTE}${text}\nexport {};\n`;
  return format(declaration, { parser: "typescript", printWidth: 100 });
}

const { values: asked } = parseArgs({
  options: {
    "one-file": { type: "boolean" },
    out: { type: "string", default: join(here, "dist") },
  },
});
if (asked["one-file"]) {
  const { script, exports } = await oneScript();
  const declaration = await oneDeclaration(exports);
  process.stdout.write(JSON.stringify({ "client.js": script, "client.d.ts": declaration }));
} else {
  await buildPackage(asked.out);
}
