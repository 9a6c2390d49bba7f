// Serves the test app and the public SDK, as they are, from loopback: a secure context for the browser.
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const here = (path) => new URL(path, import.meta.url);

const FILES = {
  "/": [here("../pages/phone.html"), "text/html; charset=utf-8"],
  "/phone.js": [here("../pages/phone.js"), "text/javascript"],
  "/own": [here("../pages/own.html"), "text/html; charset=utf-8"],
  "/own.js": [here("../pages/own.js"), "text/javascript"],
  // Built by `npm run build` in clients/.
  "/offhook.js": [here("../../clients/web-sdk/dist/offhook.global.js"), "text/javascript"],
  "/telnyx.js": [require.resolve("@telnyx/webrtc/lib/bundle.js"), "text/javascript"],
};

/** Older releases of the public SDK, from the first that is still to be had; the page under `/<release>/` uses that one. */
export const OLDER_RELEASES = [
  ...["2.1.5", "2.1.6", "2.2.0", "2.3.5", "2.5.6", "2.6.0", "2.9.0"],
  ...["2.22.18", "2.25.17", "2.25.25", "2.26.4", "2.27.1", "2.27.6"],
];
for (const release of OLDER_RELEASES) {
  FILES[`/${release}/`] = FILES["/"];
  const bundle = require.resolve(`telnyx-webrtc-${release}/lib/bundle.js`);
  FILES[`/${release}/telnyx.js`] = [bundle, "text/javascript"];
}

/** Starts the server; `{ url, close() }`. */
export async function servePages() {
  const server = http.createServer((request, response) => {
    const file = FILES[new URL(request.url, "http://page").pathname];
    response.writeHead(file ? 200 : 404, { "content-type": file?.[1] ?? "text/plain" });
    response.end(file ? readFileSync(file[0]) : "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
