// A carrier of our own beside SIPp and baresip: it decodes what it hears, counts packets and can be told anything.
import { bindUdp } from "./ports.mjs";
import { IncomingCall } from "./caller.mjs";
import { RtpEnd } from "./rtp.mjs";
import { until } from "./wait.mjs";
import { header, headers, hostPort, newBranch, newTag, parseSip, response, uriOf } from "./sip.mjs";

const HOST = "127.0.0.1";
const T1_MS = 500;
/** Retransmissions of a 200 that nobody acknowledges: enough for a test. */
const RETRANSMIT_MAX = 6;

/** Call-IDs of carriers that are closed: what still comes of their calls is no matter of the next one on the port. */
const gone = new Set();

/**
 * Starts a carrier.
 *
 * options.codecs   names it accepts, in order: PCMU, PCMA, opus
 * options.toneHz   what it sends, or a function that tells it by the number called; `null` sends silence, `"nothing"`
 *                  no packet at all, `"echo"` what it hears
 * options.leavesChoice  it answers with all of `codecs` that it is offered, in the other side's order, and sends the first
 * options.opus     parameters of Opus in its SDPs
 * options.advertised  address that its SDPs name, if it is another one than its packets come from
 * options.contactPort  port that its SIP names, if it is reached at another one than it has
 * options.reinvite [status, reason] that refuses re-INVITEs; without it they are accepted
 * options.refer    what it does with a REFER: [status, reason] that refuses it, or "take": it says by NOTIFY that it has
 *                  called the new party; 405 without it
 * options.script   what it does with a call: async (call) => { call.ring(); call.answer(); }
 */
export async function startCarrier(options = {}) {
  const carrier = new Carrier({
    codecs: ["PCMU"],
    toneHz: 440,
    script: (call) => {
      call.ring();
      call.answer();
    },
    ...options,
  });
  await carrier.open(options.port ?? 0);
  return carrier;
}

class Carrier {
  /** Every message received, in order; one that was sent again for want of an answer is one. */
  received = [];
  calls = [];
  /** Calls that it has placed. */
  dialled = [];
  #socket = null;
  #options;
  /** Those whose media is not open yet, too. */
  #all = [];
  #seen = new Set();

  constructor(options) {
    this.#options = options;
  }

  get port() {
    return this.#socket.address().port;
  }

  async open(port) {
    this.#socket = await bindUdp(port);
    this.#socket.on("message", (datagram, from) => this.#onDatagram(datagram, from));
  }

  /** Changes what the next calls meet. */
  set(options) {
    Object.assign(this.#options, options);
  }

  /** Requests of one method. */
  requests(method) {
    return this.received.filter((message) => message.method === method && message.status === undefined);
  }

  /** Calls `number` through the proxy at `proxyPort`; `headers` are whole lines of the INVITE, `name` who calls. */
  async dial(
    proxyPort,
    number,
    { headers: lines = [], toneHz = this.#options.toneHz, name = "Caller" } = {},
  ) {
    const rtp = await RtpEnd.offering({ codecs: ["PCMU"], toneHz });
    const { port } = this;
    const call = new IncomingCall({ port, proxyPort, number, lines, name, rtp, send: this.#send });
    this.#all.push(call);
    this.dialled.push(call);
    call.invite();
    return call;
  }

  close() {
    for (const call of this.#all) {
      call.end();
      gone.add(call.sipCallId);
    }
    const socket = this.#socket;
    this.#socket = null;
    return new Promise((resolve) => socket.close(resolve));
  }

  /** What a call says after the carrier is closed is not said. */
  #send = (text, to) => this.#socket?.send(text, to.port, to.address);

  #onDatagram(datagram, from) {
    const message = parseSip(datagram);
    if (!message) return;
    const callId = header(message, "call-id");
    if (!gone.has(callId)) this.#record(message);
    const known = this.#all.find((call) => call.sipCallId === callId);
    if (known) return known.handle(message, from);
    if (message.status !== undefined || message.method === "ACK") return;
    if (message.method === "INVITE" && !gone.has(callId)) this.#onInvite(message, from);
    else {
      const status = message.method === "OPTIONS" ? [200, "OK"] : [481, "Call Does Not Exist"];
      this.#send(response(message, ...status, newTag()), from);
    }
  }

  /** A retransmission is the same, byte by byte; save for an ACK, which answers each 200 anew. */
  #record(message) {
    const { method, status } = message;
    const isAck = method === "ACK" && status === undefined;
    const key = isAck ? `ACK ${header(message, "call-id")} ${header(message, "cseq")}` : message.raw;
    if (!this.#seen.has(key)) this.received.push(message);
    this.#seen.add(key);
  }

  async #onInvite(invite, from) {
    const port = this.#options.contactPort ?? this.port;
    const call = new CarrierCall(invite, from, port, this.#options, this.#send);
    this.#all.push(call);
    call.respond(100, "Trying");
    await call.open();
    // Tests see it from here on, in the state that its script has brought it to.
    this.calls.push(call);
    if (call.endedBy === null) await this.#options.script(call);
  }
}

class CarrierCall {
  sipCallId;
  invite;
  /** What ended it: `null`, `"cancel"`, `"bye"` (theirs) or `"own-bye"`. */
  endedBy = null;
  acknowledged = false;
  /** When it answered, in ms. */
  answeredAt = null;
  /** re-INVITEs of the other side, in order. */
  reinvites = [];
  /** Responses to requests of ours, in order. */
  responses = [];
  /** REFERs of the other side, and its NOTIFYs. */
  refers = [];
  notifies = [];
  rtp = null;
  /** The direction that it last asked for by itself. */
  #wanted = "sendrecv";
  #from;
  #port;
  #options;
  #send;
  #tag = newTag();
  #cseq = 1;
  #final = null;
  #retransmit = null;
  /** What was answered to requests in the dialog, by their branch: it is answered again. */
  #answers = new Map();
  #isOver = false;

  constructor(invite, from, port, options, send) {
    this.invite = invite;
    this.sipCallId = header(invite, "call-id");
    this.#from = from;
    this.#port = port;
    this.#options = options;
    this.#send = send;
  }

  async open() {
    const { codecs, toneHz, advertised, leavesChoice, opus } = this.#options;
    this.rtp = await RtpEnd.open(this.invite.body, {
      codecs,
      advertised,
      leavesChoice,
      opus,
      toneHz: typeof toneHz === "function" ? toneHz(this.number) : toneHz,
    });
    if (this.#isOver) this.rtp.close();
  }

  /** The number that was called. */
  get number() {
    return uriOf(this.invite.uri)
      .replace(/^sips?:/, "")
      .split("@")[0];
  }

  header(name) {
    return header(this.invite, name);
  }

  /** `extra` are whole lines. */
  respond(status, reason, body = "", extra = []) {
    const contact = [`Contact: <sip:carrier@${HOST}:${this.#port}>`, ...extra];
    const text = response(
      this.invite,
      status,
      reason,
      status === 100 ? "" : this.#tag,
      status === 100 ? [] : contact,
      body,
    );
    // Who has given up meanwhile is not answered any more.
    if (this.#final) return;
    if (status >= 200) this.#finish(text, status);
    this.#send(text, this.#from);
  }

  ring() {
    this.respond(180, "Ringing");
  }

  /** 183 with SDP, and audio from now on. */
  progress() {
    this.rtp.start();
    this.respond(183, "Session Progress", this.rtp.sdp());
  }

  answer(extra = []) {
    if (!this.rtp.codec) {
      this.reject(488, "Not Acceptable Here");
      return;
    }
    this.rtp.start();
    this.answeredAt = Date.now();
    this.respond(200, "OK", this.rtp.sdp(), extra);
  }

  reject(status, reason) {
    this.respond(status, reason);
    this.rtp?.stop();
  }

  /** Hangs up from the carrier's side. */
  hangup(extra = []) {
    this.endedBy = "own-bye";
    this.rtp.stop();
    this.#request("BYE", extra);
  }

  /** A new offer from the carrier's side, for example `sendonly`: it holds the call. Gives the final response. */
  async reinvite(direction) {
    this.#wanted = direction;
    const cseq = this.#request("INVITE", this.#contact(), this.rtp.sdp(direction));
    const response = await until("an answer to the re-INVITE", () =>
      this.responses.find((each) => each.status >= 200 && header(each, "cseq").startsWith(`${cseq} `)),
    );
    if (response.status === 200) this.rtp.follow(mirrored(directionOf(response.body)));
    return response;
  }

  /** An INFO with one digit (`application/dtmf-relay`). */
  digitByInfo(digit) {
    this.#request("INFO", ["Content-Type: application/dtmf-relay"], `Signal=${digit}\r\nDuration=160\r\n`);
  }

  /** Stops everything without a word. */
  end() {
    this.#isOver = true;
    clearTimeout(this.#retransmit);
    this.rtp?.close();
  }

  handle(message, from) {
    if (message.status !== undefined) return this.#onResponse(message);
    if (message.method === "ACK") {
      this.acknowledged = true;
      return clearTimeout(this.#retransmit);
    }
    if (message.method === "INVITE" && !header(message, "to").includes(";tag=")) {
      if (this.#final) this.#send(this.#final, this.#from);
      return;
    }
    const transaction = `${message.method} ${header(message, "via")}`;
    const isNew = !this.#answers.has(transaction);
    if (isNew) this.#answers.set(transaction, this.#answer(message));
    this.#send(this.#answers.get(transaction), from);
    if (isNew && message.method === "CANCEL") this.#giveUp();
    if (isNew && message.method === "REFER" && this.#options.refer === "take") this.#takeReferral(message);
  }

  /** Does what a request in the dialog asks for; gives the response. */
  #answer(message) {
    if (message.method === "INVITE") return this.#onReinvite(message);
    if (message.method === "REFER") return this.#onRefer(message);
    if (message.method === "NOTIFY") this.notifies.push(message);
    if (message.method === "BYE") {
      this.endedBy ??= "bye";
      this.rtp?.stop();
      clearTimeout(this.#retransmit);
    }
    return response(message, 200, "OK", this.#tag);
  }

  #giveUp() {
    if (this.#final) return;
    this.endedBy = "cancel";
    this.reject(487, "Request Terminated");
  }

  #onReinvite(message) {
    this.reinvites.push(message);
    const refusal = this.#options.reinvite;
    if (refusal) return response(message, ...refusal, this.#tag);
    // It may have moved to another address.
    this.rtp.accept(message.body);
    const direction = narrowed(mirrored(directionOf(message.body)), this.#wanted);
    this.rtp.follow(direction);
    return response(message, 200, "OK", this.#tag, this.#contact(), this.rtp.sdp(direction));
  }

  #onRefer(refer) {
    this.refers.push(refer);
    const taken = this.#options.refer === "take";
    const status = taken ? [202, "Accepted"] : (this.#options.refer ?? [405, "Method Not Allowed"]);
    return response(refer, ...status, this.#tag, this.#contact());
  }

  #takeReferral(refer) {
    this.#notify(refer, "100 Trying", "active;expires=60");
    this.#notify(refer, "200 OK", "terminated;reason=noresource");
  }

  #notify(refer, status, state) {
    const [cseq] = header(refer, "cseq").split(" ");
    const lines = [
      ...this.#contact(),
      `Event: refer;id=${cseq}`,
      `Subscription-State: ${state}`,
      "Content-Type: message/sipfrag",
    ];
    this.#request("NOTIFY", lines, `SIP/2.0 ${status}\r\n`);
  }

  /** Sends the other side to somebody else; gives the final response. */
  async refer(to, lines = []) {
    const cseq = this.#request("REFER", [...this.#contact(), `Refer-To: <${to}>`, ...lines]);
    return until("an answer to the REFER", () =>
      this.responses.find((each) => each.status >= 200 && header(each, "cseq").startsWith(`${cseq} `)),
    );
  }

  #contact() {
    return [`Contact: <sip:carrier@${HOST}:${this.#port}>`];
  }

  #onResponse(message) {
    this.responses.push(message);
    if (message.method === "INVITE" && message.status >= 200) {
      const [cseq] = header(message, "cseq").split(" ");
      this.#request("ACK", [], "", cseq);
    }
  }

  #finish(text, status) {
    this.#final = text;
    let sent = 0;
    const again = () => {
      sent += 1;
      if (sent > RETRANSMIT_MAX || (this.acknowledged && status < 300)) return;
      this.#send(text, this.#from);
      this.#retransmit = setTimeout(again, Math.min(T1_MS * 2 ** sent, 4_000));
    };
    this.#retransmit = setTimeout(again, T1_MS);
  }

  /** A request inside the dialog, along the recorded route; gives its sequence number. */
  #request(method, extra = [], body = "", cseq = ++this.#cseq) {
    const target = uriOf(header(this.invite, "contact"));
    const route = headers(this.invite, "record-route").flatMap((value) => value.split(/,\s*(?=<)/));
    const next = hostPort(route.length > 0 ? uriOf(route[0]) : target);
    const to = header(this.invite, "to");
    const text = [
      `${method} ${target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${HOST}:${this.#port};branch=${newBranch()};rport`,
      "Max-Forwards: 70",
      ...route.map((each) => `Route: ${each}`),
      `From: ${to}${to.includes(";tag=") ? "" : `;tag=${this.#tag}`}`,
      `To: ${header(this.invite, "from")}`,
      `Call-ID: ${this.sipCallId}`,
      `CSeq: ${cseq} ${method}`,
      ...(method === "INVITE" ? ["Content-Type: application/sdp"] : []),
      ...extra,
      `Content-Length: ${Buffer.byteLength(body)}`,
      "",
      body,
    ].join("\r\n");
    this.#send(text, { address: next.host, port: next.port });
    return cseq;
  }
}

/** The direction of an SDP's audio (RFC 3264): `sendrecv` when it says nothing. */
export function directionOf(sdp) {
  return /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(sdp)?.[1] ?? "sendrecv";
}

/** The same seen from the other side. */
export function mirrored(direction) {
  return { sendonly: "recvonly", recvonly: "sendonly" }[direction] ?? direction;
}

/** What both allow. */
function narrowed(one, other) {
  if (one === "sendrecv" || one === other) return other;
  return other === "sendrecv" ? one : "inactive";
}
