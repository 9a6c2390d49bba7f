// HAProxy in front of two nodes, as docs/several-nodes.md configures it.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.mjs";
import { until } from "./wait.mjs";

const GUIDE = new URL("../../docs/several-nodes.md", import.meta.url);
const HOST = "127.0.0.1";
/** Where programs for administrators are, on systems that leave that out of a user's path. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Starts it for nodes `{ one: world, two: world }`: `{ host, stop() }`, `host` for WebSockets. */
export async function startHaproxy(nodes) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "offhook-haproxy-"));
  const file = join(folder, "haproxy.cfg");
  writeFileSync(file, configuration(port, nodes));
  const child = spawn("haproxy", ["-db", "-f", file], { env: { ...process.env, PATH } });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
  const exit = new Promise((resolve) => child.on("exit", resolve));
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(`HAProxy has ended:\n${log}`);
    // 503 until its first check of a node.
    const response = await fetch(`http://${HOST}:${port}/`).catch(() => null);
    return response !== null && response.status !== 503;
  };
  await until("HAProxy finds its nodes", answers);
  return {
    host: `ws://${HOST}:${port}`,
    async stop() {
      child.kill("SIGTERM");
      await exit;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The guide's configuration, with the addresses of this test, and with patience: here both nodes are on one busy machine. */
function configuration(port, nodes) {
  let text = /```haproxy\n(.*?)```/s.exec(readFileSync(GUIDE, "utf8"))[1];
  text = text.replace(/timeout connect .*/, "$&\n    timeout check 20s");
  text = text.replace(/bind .*/, `bind ${HOST}:${port}`);
  for (const [name, { ports }] of Object.entries(nodes)) {
    const server = new RegExp(`(?<=^ +)server ${name} \\S+( check port \\d+)?`, "gm");
    text = text.replace(server, (_, check) => {
      const checked = check ? ` check port ${ports.admin.up}` : "";
      return `server ${name} ${HOST}:${ports.http}${checked}`;
    });
  }
  return text;
}
