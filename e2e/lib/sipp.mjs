// SIPp as a carrier: real SIP of somebody else, one scenario file for each behaviour.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { G711 } from "./g711.mjs";
import { freePorts } from "./ports.mjs";
import { sine } from "./tone.mjs";
import { until } from "./wait.mjs";

const SCENARIOS = fileURLToPath(new URL("../scenarios/", import.meta.url));
const TONE_SECONDS = 30;

/**
 * Starts SIPp on `port` with `scenarios/<name>.xml`, for `calls` calls. It plays a tone and echoes RTP where the scenario does.
 * With `to`, it calls `number` at that port itself.
 */
export async function startSipp(name, { port, calls = 1, toneHz = 440, codec = "PCMU", to, number }) {
  const folder = mkdtempSync(join(tmpdir(), "offhook-sipp-"));
  writeFileSync(join(folder, "tone.raw"), G711[codec].encode(sine(toneHz, 8_000, 8_000 * TONE_SECONDS)));
  // It takes the port two above as well, for video.
  const media = await freePorts(4);
  const child = spawn(
    "sipp",
    [
      ...(to ? [`127.0.0.1:${to}`, "-s", number] : []),
      ...["-sf", join(SCENARIOS, `${name}.xml`)],
      ...["-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", String(port), "-mp", String(media)],
      ...["-m", String(calls), "-nostdin"],
      // It would echo on the port of the tone as well.
      ...(name.startsWith("echo") ? ["-rtp_echo"] : []),
      ...["-trace_msg", "-message_file", join(folder, "messages.log")],
      ...["-trace_err", "-error_file", join(folder, "errors.log")],
    ],
    { cwd: folder, stdio: "ignore" },
  );
  const sipp = new Sipp(child, folder, port);
  await until("SIPp listens", () => sipp.listening());
  return sipp;
}

class Sipp {
  port;
  #child;
  #folder;
  #exit;

  constructor(child, folder, port) {
    this.#child = child;
    this.#folder = folder;
    this.port = port;
    this.#exit = new Promise((resolve) => child.on("exit", resolve));
  }

  /** The kernel's table of UDP sockets says whether the port is taken. */
  listening() {
    if (this.#child.exitCode !== null) throw new Error(`SIPp ended: ${this.errors()}`);
    const hex = this.port.toString(16).toUpperCase().padStart(4, "0");
    return readFileSync("/proc/net/udp", "utf8").includes(`:${hex} `);
  }

  /** Waits for the end of all calls; the exit code is 0 when each went as the scenario says. */
  async finished(timeoutMs = 60_000) {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const code = await this.#exit;
    clearTimeout(timer);
    return code;
  }

  /** All messages sent and received, as SIPp wrote them down. */
  messages() {
    const file = join(this.#folder, "messages.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  errors() {
    const file = join(this.#folder, "errors.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await this.#exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
