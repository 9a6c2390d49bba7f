// Builds the page into three files that any web server, or the VSP itself, can serve.
import { build } from "esbuild";
import { copyFileSync, mkdirSync } from "node:fs";

mkdirSync("dist", { recursive: true });
await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outfile: "dist/app.js",
  alias: { "@offhook/web-sdk": "../web-sdk/src/index.ts" },
  logLevel: "warning",
});
await build({ entryPoints: ["src/app.css"], minify: true, outfile: "dist/app.css", logLevel: "warning" });
copyFileSync("src/index.html", "dist/index.html");
console.log("softphone: dist/index.html, dist/app.js, dist/app.css");
