// A SIP phone that says exactly what the test wants, message by message. It registers as any other.
import { createHash } from "node:crypto";
import { header, newBranch, newTag, parseSip } from "./sip.mjs";
import { bindUdp } from "./ports.mjs";
import { until } from "./wait.mjs";

const HOST = "127.0.0.1";
const md5 = (text) => createHash("md5").update(text).digest("hex");

export class RawPhone {
  /** Everything it was sent, in order. */
  received = [];
  #socket;
  #proxyPort;

  static async open(proxyPort) {
    const phone = new RawPhone();
    phone.#proxyPort = proxyPort;
    phone.#socket = await bindUdp(0);
    phone.#socket.on("message", (datagram) => {
      const message = parseSip(datagram);
      if (message) phone.received.push(message);
    });
    return phone;
  }

  get address() {
    return `${HOST}:${this.#socket.address().port}`;
  }

  /** What it offers: media comes to where its SIP does, and is not listened to. */
  get offer() {
    const { port } = this.#socket.address();
    const session = ["v=0", `o=- 1 1 IN IP4 ${HOST}`, "s=-", `c=IN IP4 ${HOST}`, "t=0 0"];
    return [...session, `m=audio ${port} RTP/AVP 0`, ""].join("\r\n");
  }

  /** Sends a request; gives its Via branch. `lines` are whole header lines. */
  send(method, uri, { to = uri, tag = "", callId = newTag(), cseq = 1, lines = [] } = {}) {
    const body = method === "INVITE" ? this.offer : "";
    const branch = newBranch();
    const text = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.address};branch=${branch};rport`,
      "Max-Forwards: 70",
      `From: <sip:alice@${HOST}>;tag=raw`,
      `To: <${to}>${tag && `;tag=${tag}`}`,
      `Call-ID: ${callId}`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:alice@${this.address}>`,
      ...lines,
      ...(body ? ["Content-Type: application/sdp"] : []),
      `Content-Length: ${body.length}`,
      "",
      body,
    ].join("\r\n");
    this.#socket.send(text, this.#proxyPort, HOST);
    return branch;
  }

  /** The final answer to the request that was sent with this branch. */
  answer(branch) {
    const isAnswer = (message) => message.status >= 200 && header(message, "via").includes(branch);
    return until("an answer", () => this.received.find(isAnswer));
  }

  /** Sends a request, and once more with what it was challenged for; gives the last answer. */
  async prove(method, uri, password, options = {}) {
    const first = await this.answer(this.send(method, uri, options));
    const proxy = first.status === 407;
    const challenge = header(first, proxy ? "proxy-authenticate" : "www-authenticate");
    const [, realm] = /realm="([^"]*)"/.exec(challenge);
    const [, nonce] = /nonce="([^"]*)"/.exec(challenge);
    const [ha1, ha2] = [md5(`alice:${realm}:${password}`), md5(`${method}:${uri}`)];
    const proof = md5(`${ha1}:${nonce}:00000001:c:auth:${ha2}`);
    const line =
      `${proxy ? "Proxy-" : ""}Authorization: Digest username="alice", realm="${realm}", nonce="${nonce}", uri="${uri}", ` +
      `qop=auth, nc=00000001, cnonce="c", response="${proof}"`;
    const lines = [...(options.lines ?? []), line];
    return this.answer(this.send(method, uri, { ...options, cseq: 2, lines }));
  }

  /** Registers as alice's. */
  async register(password) {
    const registrar = `sip:${HOST}:${this.#proxyPort}`;
    const to = `sip:alice@${HOST}`;
    return this.prove("REGISTER", registrar, password, { to, callId: newTag() });
  }

  close() {
    return new Promise((resolve) => this.#socket.close(resolve));
  }
}
