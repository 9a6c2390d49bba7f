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

/**
 * Starts a carrier.
 *
 * options.codecs   names it accepts, in order: PCMU, PCMA, opus
 * options.toneHz   what it sends, or a function that tells it by the number called; `null` sends silence, `"nothing"`
 *                  no packet at all, `"echo"` what it hears
 * options.leavesChoice  it answers with all of `codecs` that it is offered, in the other side's order, and sends the first
 * options.opus     parameters of Opus in its SDPs
 * options.advertised  address that its SDPs name, if it is another one than its packets come from
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
  /** Every message received, in order. */
  received = [];
  calls = [];
  /** Calls that it has placed. */
  dialled = [];
  #socket = null;
  #options;

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

  /**
   * Requests of one method, as received (retransmissions too), save what belongs to calls that are not its own: those of an
   * earlier carrier at this port, say.
   */
  requests(method) {
    return this.received.filter(
      (message) =>
        message.method === method &&
        message.status === undefined &&
        (this.#callOf(message) || beginsSomething(message)),
    );
  }

  /** Calls `number` through the proxy at `proxyPort`; `headers` are whole lines of the INVITE, `name` who calls. */
  async dial(
    proxyPort,
    number,
    { headers: lines = [], toneHz = this.#options.toneHz, name = "Caller" } = {},
  ) {
    const rtp = await RtpEnd.offering({ codecs: ["PCMU"], toneHz });
    const send = (text, to) => this.#socket.send(text, to.port, to.address);
    const call = new IncomingCall({ port: this.port, proxyPort, number, lines, name, rtp, send });
    this.dialled.push(call);
    call.invite();
    return call;
  }

  close() {
    for (const call of [...this.calls, ...this.dialled]) call.end();
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  #callOf(message) {
    return [...this.calls, ...this.dialled].find((call) => call.sipCallId === header(message, "call-id"));
  }

  #onDatagram(datagram, from) {
    const message = parseSip(datagram);
    if (!message) return;
    this.received.push(message);
    const known = this.#callOf(message);
    if (known) return known.handle(message, from);
    const send = (text, to) => this.#socket.send(text, to.port, to.address);
    if (message.method === "INVITE") this.#onInvite(message, from, send);
    else if (message.status === undefined && message.method !== "ACK") {
      const status = message.method === "OPTIONS" ? [200, "OK"] : [481, "Call Does Not Exist"];
      send(response(message, ...status, newTag()), from);
    }
  }

  async #onInvite(invite, from, send) {
    const call = new CarrierCall(invite, from, this.port, this.#options, send);
    this.calls.push(call);
    call.respond(100, "Trying");
    await call.open();
    await this.#options.script(call);
  }
}

/** Whether a request belongs to nothing that went before. */
function beginsSomething(request) {
  return !["ACK", "CANCEL"].includes(request.method) && !header(request, "to").includes(";tag=");
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
    clearTimeout(this.#retransmit);
    this.rtp?.close();
  }

  handle(message, from) {
    if (message.status !== undefined) return this.#onResponse(message);
    switch (message.method) {
      case "ACK":
        this.acknowledged = true;
        clearTimeout(this.#retransmit);
        return;
      case "INVITE":
        if (header(message, "to").includes(";tag=")) {
          this.reinvites.push(message);
          const refusal = this.#options.reinvite;
          if (refusal) return this.#send(response(message, ...refusal, this.#tag), from);
          // It may have moved to another address.
          this.rtp.accept(message.body);
          const direction = narrowed(mirrored(directionOf(message.body)), this.#wanted);
          this.rtp.follow(direction);
          const answer = this.rtp.sdp(direction);
          this.#send(response(message, 200, "OK", this.#tag, this.#contact(), answer), from);
        } else if (this.#final) this.#send(this.#final, this.#from);
        return;
      case "CANCEL":
        this.#send(response(message, 200, "OK", this.#tag), from);
        if (!this.#final) {
          this.endedBy = "cancel";
          this.reject(487, "Request Terminated");
        }
        return;
      case "BYE":
        this.endedBy ??= "bye";
        this.rtp?.stop();
        clearTimeout(this.#retransmit);
        this.#send(response(message, 200, "OK", this.#tag), from);
        return;
      case "REFER":
        return this.#onRefer(message, from);
      case "NOTIFY":
        this.notifies.push(message);
        return this.#send(response(message, 200, "OK", this.#tag), from);
      default:
        this.#send(response(message, 200, "OK", this.#tag), from);
    }
  }

  #onRefer(refer, from) {
    this.refers.push(refer);
    const taken = this.#options.refer === "take";
    const [status, reason] = taken ? [202, "Accepted"] : (this.#options.refer ?? [405, "Method Not Allowed"]);
    this.#send(response(refer, status, reason, this.#tag, this.#contact()), from);
    if (!taken) return;
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
