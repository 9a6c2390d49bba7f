// coturn as the relay of a browser that gets out no other way.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.mjs";
import { until } from "./wait.mjs";

const USERNAME = "browser";
const CREDENTIAL = "relay-secret";

/** Starts a TURN server on loopback: `{ iceServers, allocations(), stop() }`. */
export async function startTurn() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "offhook-turn-"));
  const options = {
    "listening-ip": "127.0.0.1",
    "listening-port": port,
    "relay-ip": "127.0.0.1",
    "min-port": 47_000,
    "max-port": 47_999,
    realm: "offhook.test",
    user: `${USERNAME}:${CREDENTIAL}`,
    userdb: join(folder, "users.db"),
    pidfile: join(folder, "pid"),
    "log-file": "stdout",
  };
  const flags = ["n", "lt-cred-mech", "no-cli", "no-tls", "no-dtls", "allow-loopback-peers", "verbose"];
  const child = spawn("turnserver", [
    ...flags.map((flag) => (flag.length === 1 ? `-${flag}` : `--${flag}`)),
    ...Object.entries(options).map(([name, value]) => `--${name}=${value}`),
  ]);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
  const exit = new Promise((resolve) => child.on("exit", resolve));
  await until("coturn listens", () => /UDP listener opened on/.test(log));
  return {
    iceServers: [
      { urls: `turn:127.0.0.1:${port}?transport=udp`, username: USERNAME, credential: CREDENTIAL },
    ],
    /** How many relayed addresses it has given out. */
    allocations: () => log.split("ALLOCATE processed, success").length - 1,
    async stop() {
      child.kill("SIGTERM");
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
