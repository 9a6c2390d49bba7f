// The binary under test: started with a configuration of the test's own, asked over its admin port, stopped by signal.
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eachLine } from "./lines.mjs";
import { until } from "./wait.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LOG_LINES_MAX = 5_000;
/** Longer than any drain of a test: who has not left then is stuck. */
const STOP_MAX_MS = 90_000;

/** Path of the binary: `OFFHOOK_BIN`, or the debug build. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
  const path = process.env.OFFHOOK_BIN ?? join(target, "debug", "offhook");
  if (!existsSync(path)) throw new Error(`${path} is not there: run \`cargo build --package offhook\` first`);
  return path;
}

export class Offhook {
  log = [];
  #child;
  #folder;
  #admin;
  #exit;

  /**
   * Starts one process: `command` is `up` or a role, `admin` the admin port that its configuration names, `files` lie
   * beside the configuration, whose `@/` stands for that folder.
   */
  static async start({ config, admin, command = "up", files = {} }) {
    const offhook = new Offhook();
    offhook.#admin = admin;
    offhook.#folder = mkdtempSync(join(tmpdir(), "offhook-e2e-"));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(offhook.#folder, name), content);
    const file = join(offhook.#folder, "offhook.toml");
    writeFileSync(file, config.replaceAll("@/", `${offhook.#folder}/`));
    offhook.#spawn([command, "--config", file]);
    await offhook.#untilReady();
    return offhook;
  }

  /** Starts the demo, on ports that it finds by itself and prints. */
  static async startDemo() {
    const offhook = new Offhook();
    offhook.#folder = mkdtempSync(join(tmpdir(), "offhook-e2e-"));
    offhook.#spawn(["up", "--free-ports"]);
    await offhook.#untilReady();
    return offhook;
  }

  async #untilReady() {
    try {
      await until("offhook is ready", () => this.#ready(), 60_000);
    } catch (error) {
      await this.stop();
      throw new Error(`${error.message}\n${this.log.join("\n")}`);
    }
  }

  /** Where its files lie. */
  get folder() {
    return this.#folder;
  }

  /** What it prints after `label`, such as the page's address. */
  printed(label) {
    const line = new RegExp(`^ *${label} +(\\S+)`);
    return this.log.map((each) => line.exec(each)?.[1]).find(Boolean) ?? null;
  }

  get pid() {
    return this.#child.pid;
  }

  get running() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** JSON of the admin port. */
  async admin(path) {
    const response = await fetch(`http://127.0.0.1:${this.#admin}${path}`);
    return response.ok ? response.json() : null;
  }

  /** Tells the admin port to do something: status and JSON of its answer. */
  async adminPost(path, headers = {}) {
    const response = await fetch(`http://127.0.0.1:${this.#admin}${path}`, { method: "POST", headers });
    return { status: response.status, body: await response.json().catch(() => null) };
  }

  /** Runs another command of the binary with the configuration of this process; gives what it prints. */
  async command(...args) {
    const config = ["--config", join(this.#folder, "offhook.toml")];
    const { stdout } = await promisify(execFile)(binary(), [...args, ...config]);
    return stdout;
  }

  /** The trace of a call, by any of its ids. */
  trace(id) {
    return this.admin(`/calls/${encodeURIComponent(id)}`);
  }

  /** All gauges of `/metrics`, by name with labels. */
  async gauges() {
    const text = await (await fetch(`http://127.0.0.1:${this.#admin}/metrics`)).text();
    const gauges = {};
    let gauge = null;
    for (const line of text.split("\n")) {
      const type = /^# TYPE (\S+) (\S+)/.exec(line);
      if (type) gauge = type[2] === "gauge" ? type[1] : null;
      if (gauge === null || !line.startsWith(gauge)) continue;
      const space = line.lastIndexOf(" ");
      gauges[line.slice(0, space)] = Number(line.slice(space + 1));
    }
    return gauges;
  }

  /** The sum of a counter over those of its labels that contain `label`. */
  async counter(name, label = "") {
    const text = await (await fetch(`http://127.0.0.1:${this.#admin}/metrics`)).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith(name) && line.includes(label))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  /** Tells it to leave and waits until it has, however long its calls keep it; gives its exit code. */
  async leave() {
    this.#child.kill("SIGTERM");
    await this.#exit;
    return this.#child.exitCode;
  }

  /** Sends a signal and waits for the end, its last words included. */
  async stop(signal = "SIGTERM") {
    if (this.running) {
      this.#child.kill(signal);
      const killer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MAX_MS);
      await this.#exit;
      clearTimeout(killer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
    return this.#child.exitCode;
  }

  #spawn(args) {
    this.#child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#exit = new Promise((resolve) => this.#child.on("close", resolve));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      eachLine(stream, (line) => {
        if (line !== "") this.log.push(line);
        this.log.splice(0, Math.max(0, this.log.length - LOG_LINES_MAX));
      });
    }
  }

  async #ready() {
    if (!this.running) throw new Error("offhook ended while starting");
    this.#admin ??= this.printed("Look")?.match(/:(\d+)\//)[1];
    if (!this.#admin) return false;
    try {
      return (await fetch(`http://127.0.0.1:${this.#admin}/readyz`)).ok;
    } catch {
      return false;
    }
  }
}
