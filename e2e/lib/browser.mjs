// Chromium, as the tests use it: no window, a microphone that needs no permission, ICE that works on loopback.
import { chromium } from "playwright-core";

/** Chromium on this machine. */
export const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

// Without mDNS names and with loopback allowed, the browser's candidates are addresses that a gateway on this
// machine can answer; the rest keeps Chromium from talking to anybody else.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/** Starts a browser, or whatever `executable` starts one with. The caller closes it. */
export function launchBrowser(executable = EXECUTABLE) {
  return chromium.launch({ executablePath: executable, headless: true, args: FLAGS, timeout: 120_000 });
}
