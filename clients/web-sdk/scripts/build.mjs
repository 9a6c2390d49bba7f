// Bundles the SDK twice (module, and one script for pages without a build step) and holds its size budget.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";

const BUNDLE_GZIP_BYTES_MAX = 20_000;

const shared = {
  entryPoints: ["src/index.ts"],
  bundle: true,
  minify: true,
  sourcemap: true,
  target: "es2022",
  logLevel: "warning",
};
await build({ ...shared, format: "esm", outfile: "dist/offhook.js" });
await build({ ...shared, format: "iife", globalName: "Offhook", outfile: "dist/offhook.global.js" });

const bytes = gzipSync(readFileSync("dist/offhook.js"), { level: 9 }).length;
if (bytes > BUNDLE_GZIP_BYTES_MAX) {
  throw new Error(`dist/offhook.js is ${bytes} bytes compressed; the budget is ${BUNDLE_GZIP_BYTES_MAX}`);
}
console.log(`web-sdk: ${bytes} bytes compressed (budget ${BUNDLE_GZIP_BYTES_MAX})`);
