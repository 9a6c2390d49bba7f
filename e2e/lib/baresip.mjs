// baresip as a carrier: a real telephone with real codecs. It plays a tone and records what it hears.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.mjs";
import { dominantHz } from "./tone.mjs";
import { until } from "./wait.mjs";

const MODULES = ["opus", "g711", "ausine", "aubridge", "sndfile", "account", "menu", "ctrl_tcp"];
const WAV_HEADER_BYTES = 44;

/** Starts baresip as a SIP phone of `user` that registers at `registrar`, a UDP port, rings until it is told to answer, and calls. */
export async function startPhone({ port, user, password, registrar, toneHz = 440 }) {
  const account = `<sip:${user}@127.0.0.1:${registrar};transport=udp>;auth_user=${user};auth_pass=${password};regint=60`;
  const phone = await launch({
    port,
    toneHz,
    account: `${account};answermode=manual;audio_codecs=PCMU/8000/1`,
    registrar,
  });
  await until("the phone is registered", () => /200 OK/.test(phone.output));
  return phone;
}

/**
 * Starts baresip on `port`. It takes calls to `number` (digits only) and nothing else; `codecs` are in its own
 * notation, for example `opus/48000/2` or `PCMU/8000/1`.
 */
export async function startBaresip({ port, number, codecs, toneHz = 440 }) {
  const account = `<sip:${number}@127.0.0.1>;regint=0;answermode=auto;audio_codecs=${codecs.join(",")}`;
  return launch({ port, toneHz, account });
}

async function launch({ port, toneHz, account, registrar = null }) {
  const folder = mkdtempSync(join(tmpdir(), "offhook-baresip-"));
  const control = await freePort();
  writeFileSync(join(folder, "config"), configuration({ port, control, folder, toneHz }));
  writeFileSync(join(folder, "accounts"), `${account}\n`);
  writeFileSync(join(folder, "contacts"), "");
  const child = spawn("baresip", ["-f", folder, "-4"], { stdio: ["ignore", "pipe", "pipe"] });
  const baresip = new Baresip(child, folder, { port, control, registrar });
  await until("baresip is ready", () => baresip.ready());
  await baresip.connect();
  return baresip;
}

function configuration({ port, control, folder, toneHz }) {
  return [
    "poll_method epoll",
    `sip_listen 127.0.0.1:${port}`,
    "sip_trans_bsize 128",
    "call_max_calls 4",
    "call_local_timeout 120",
    `audio_source ausine,${toneHz}`,
    "audio_player aubridge,nowhere",
    "audio_alert aubridge,nowhere",
    `snd_path ${folder}`,
    "audio_level no",
    "ausrc_format s16",
    "auplay_format s16",
    "ausrc_srate 48000",
    "ausrc_channels 2",
    `ctrl_tcp_listen 127.0.0.1:${control}`,
    "net_interface 127.0.0.1",
    "rtp_tos 184",
    "rtcp_mux no",
    "jitter_buffer_delay 2-5",
    "opus_bitrate 28000",
    "module_path /usr/lib/baresip/modules",
    ...MODULES.map((name) => `module ${name}.so`),
    "",
  ].join("\n");
}

class Baresip {
  port;
  output = "";
  /** What its control port told: `{ type, at }`, `at` in ms. */
  events = [];
  #child;
  #folder;
  #control;
  #registrar;
  #exit;
  #socket = null;

  constructor(child, folder, { port, control, registrar }) {
    this.#child = child;
    this.#folder = folder;
    this.port = port;
    this.#control = control;
    this.#registrar = registrar;
    this.#exit = new Promise((resolve) => child.on("exit", resolve));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => (this.output += text));
    }
  }

  ready() {
    if (this.#child.exitCode !== null) throw new Error(`baresip ended: ${this.output}`);
    return this.output.includes("baresip is ready");
  }

  /** The tone in the last half second of what it recorded, in Hz; `null` while there is none. */
  heardHz() {
    // The module `sndfile` writes down what comes out of the decoder, as it comes; after early media into a new file.
    const files = readdirSync(this.#folder).filter((name) => name.endsWith("-dec.wav"));
    const file = files.sort().at(-1);
    if (!file) return null;
    const wav = readFileSync(join(this.#folder, file));
    if (wav.length <= WAV_HEADER_BYTES) return null;
    const channels = wav.readUInt16LE(22);
    const rate = wav.readUInt32LE(24);
    const frame = channels * 2;
    const frames = Math.min(Math.floor((wav.length - WAV_HEADER_BYTES) / frame), rate / 2);
    if (frames < rate / 4) return null;
    const first = wav.length - ((wav.length - WAV_HEADER_BYTES) % frame) - frames * frame;
    const samples = Array.from({ length: frames }, (_, i) => wav.readInt16LE(first + i * frame));
    return dominantHz(samples, rate);
  }

  /** Opens baresip's control port (JSON in netstrings), which tells what happens to it. */
  connect() {
    return new Promise((resolve, reject) => {
      this.#socket = net.connect(this.#control, "127.0.0.1", resolve);
      this.#socket.on("error", reject);
      let text = "";
      this.#socket.setEncoding("utf8");
      this.#socket.on("data", (data) => {
        text += data;
        for (let match; (match = /^(\d+):/.exec(text));) {
          const [start, end] = [match[0].length, match[0].length + Number(match[1])];
          if (text.length <= end) return;
          const message = JSON.parse(text.slice(start, end));
          text = text.slice(end + 1);
          if (message.event) this.events.push({ type: message.type, at: Date.now() });
        }
      });
    });
  }

  /** Waits for an event such as `CALL_INCOMING` or `CALL_CLOSED`, of those after the first `seen`; gives it. */
  event(type, seen = 0) {
    return until(`${type} at baresip`, () => this.events.slice(seen).find((event) => event.type === type));
  }

  /** Calls a number or a user, at its registrar. */
  dial(target) {
    this.#command("dial", `sip:${target}@127.0.0.1:${this.#registrar}`);
  }

  answer() {
    this.#command("accept");
  }

  hangup() {
    this.#command("hangup");
  }

  #command(command, params = "") {
    const text = JSON.stringify({ command, params });
    this.#socket.write(`${Buffer.byteLength(text)}:${text},`);
  }

  async stop() {
    this.#socket?.destroy();
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await this.#exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
