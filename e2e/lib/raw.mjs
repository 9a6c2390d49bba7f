// A client without an SDK: says exactly what the test wants, frame by frame.
import { randomUUID } from "node:crypto";
import WebSocket from "ws";
import { until } from "./wait.mjs";

const FINGERPRINT = Array.from({ length: 32 }, (_, at) =>
  at.toString(16).padStart(2, "0").toUpperCase(),
).join(":");

/** What a client without media says of itself: enough for signalling. */
export function browserSdp(setup, types = "111 0 8") {
  return [
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    `m=audio 9 UDP/TLS/RTP/SAVPF ${types}`,
    "c=IN IP4 0.0.0.0",
    "a=mid:0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    `a=fingerprint:sha-256 ${FINGERPRINT}`,
    `a=setup:${setup}`,
    "a=rtcp-mux",
    "a=sendrecv",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "",
  ].join("\r\n");
}

export class RawClient {
  /** Frames of the server, parsed, in order. */
  frames = [];
  /** Text that is no JSON: the lines of the speed test, `#SP…`. */
  speedTest = [];
  closed = null;
  #socket;

  static async open(url, options = {}) {
    const client = new RawClient();
    client.#socket = new WebSocket(url, options);
    client.#socket.on("message", (data, isBinary) => {
      const text = data.toString();
      if (!isBinary && text.startsWith("#SP")) client.speedTest.push(text);
      else client.frames.push(isBinary ? { binary: true } : JSON.parse(text));
    });
    client.#socket.on("close", (code) => (client.closed = code));
    await new Promise((resolve, reject) => {
      client.#socket.once("open", resolve);
      client.#socket.once("error", reject);
    });
    client.#socket.on("error", () => {});
    return client;
  }

  get socket() {
    return this.#socket;
  }

  /** Sends text or bytes as they are. */
  sendRaw(data) {
    this.#socket.send(data);
  }

  /** Sends a request; gives the frame that answers it. */
  async request(method, params = {}, more = {}) {
    const id = randomUUID();
    this.sendRaw(JSON.stringify({ jsonrpc: "2.0", id, ...(method ? { method } : {}), params, ...more }));
    return until(`an answer to ${method}`, () => this.frames.find((frame) => frame.id === id));
  }

  /** Waits for a request of the server. */
  event(method, matches = () => true) {
    return until(`${method} from the server`, () =>
      this.frames.find((frame) => frame.method === method && matches(frame.params)),
    );
  }

  async logIn(login, passwd) {
    const answer = await this.request("login", { login, passwd });
    await this.event("telnyx_rtc.clientReady");
    return answer.result.sessid;
  }

  untilClosed(timeoutMs = undefined) {
    return until("the server closes the socket", () => this.closed !== null, timeoutMs);
  }

  close() {
    this.#socket.terminate();
  }
}
