// A client without an SDK: says exactly what the test wants, frame by frame.
import { randomUUID } from "node:crypto";
import WebSocket from "ws";
import { until } from "./wait.mjs";

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
    return until(`an answer to ${method}`, () => this.frames.find((frame) => frame.id === id), 5_000);
  }

  /** Waits for a request of the server. */
  event(method, matches = () => true, timeoutMs = 5_000) {
    return until(
      `${method} from the server`,
      () => this.frames.find((frame) => frame.method === method && matches(frame.params)),
      timeoutMs,
    );
  }

  async logIn(login, passwd) {
    const answer = await this.request("login", { login, passwd });
    await this.event("telnyx_rtc.clientReady");
    return answer.result.sessid;
  }

  untilClosed(timeoutMs = 5_000) {
    return until("the server closes the socket", () => this.closed !== null, timeoutMs);
  }

  close() {
    this.#socket.terminate();
  }
}
