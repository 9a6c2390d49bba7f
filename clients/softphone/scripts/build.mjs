// Builds the page into three files that any web server, or the VSP itself, can serve.
import { build } from "esbuild";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const options = { bundle: true, minify: true, write: false, outdir: "dist", logLevel: "warning" };
const script = await build({
  ...options,
  entryPoints: { app: "src/main.ts" },
  format: "esm",
  target: "es2022",
  alias: { "@offhook/web-sdk": "../web-sdk/src/index.ts" },
});
const style = await build({ ...options, entryPoints: ["src/app.css"] });

mkdirSync("dist", { recursive: true });
for (const { path, contents } of [...script.outputFiles, ...style.outputFiles]) put(basename(path), contents);
put("index.html", readFileSync("src/index.html"));
console.log("softphone: dist/index.html, dist/app.js, dist/app.css");

/** Leaves a file that is the same alone: cargo would build the binary anew, which has these files in it. */
function put(name, contents) {
  const path = `dist/${name}`;
  if (!existsSync(path) || !readFileSync(path).equals(contents)) writeFileSync(path, contents);
}
