// Runs the tests of the parts that need no server.

import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const entryPoints = globSync(join(import.meta.dirname, "tests/*.test.mjs"));
const outdir = mkdtempSync(join(tmpdir(), "unstuck-client-tests-"));
const outExtension = { ".js": ".mjs" };
await build({ entryPoints, outdir, outExtension, bundle: true, format: "esm", platform: "node" });
const files = globSync(join(outdir, "*.mjs"));
const { status } = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" });
rmSync(outdir, { recursive: true });
process.exit(status ?? 1);
