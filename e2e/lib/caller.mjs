// A call that the measuring carrier places: to a number of ours.
import { header, headers, hostPort, newBranch, newTag, response, uriOf } from "./sip.mjs";
import { until } from "./wait.mjs";

const HOST = "127.0.0.1";
export const CALLER_NUMBER = "+4930999888";

export class IncomingCall {
  sipCallId = newTag();
  /** Responses to the INVITE, in order, each with the time it came (`at`, ms); one that was sent again is one. */
  responses = [];
  endedBy = null;
  /** The BYE that ended it, if one came. */
  bye = null;
  rtp;
  #details;
  #tag = newTag();
  #branch = newBranch();
  #answer = null;
  #seen = new Set();

  constructor(details) {
    this.#details = details;
    this.rtp = details.rtp;
  }

  get statuses() {
    return this.responses.map(({ status }) => status);
  }

  invite() {
    const { lines, port, rtp } = this.#details;
    const contact = `Contact: <sip:carrier@${HOST}:${port}>`;
    this.#toProxy(
      this.#request(
        "INVITE",
        1,
        this.#branch,
        [contact, "Content-Type: application/sdp", ...lines],
        rtp.sdp(),
      ),
    );
  }

  /** Gives up before the answer. */
  cancel() {
    this.endedBy = "own-cancel";
    this.#toProxy(this.#request("CANCEL", 1, this.#branch));
  }

  /** Hangs up; `extra` are whole lines of the BYE. */
  hangup(extra = []) {
    this.endedBy = "own-bye";
    this.rtp.stop();
    this.#inDialog("BYE", 2, extra);
  }

  /** Waits for a response to the INVITE. */
  untilStatus(status) {
    return until(`${status} at the carrier`, () => this.responses.find((each) => each.status === status));
  }

  handle(message, from) {
    if (message.status !== undefined) {
      if (message.method === "INVITE") this.#onResponse(message);
      return;
    }
    if (message.method === "BYE") {
      this.endedBy ??= "bye";
      this.bye = message;
      this.rtp.stop();
    }
    if (message.method !== "ACK") this.#details.send(response(message, 200, "OK", this.#tag), from);
  }

  end() {
    this.rtp.close();
  }

  #onResponse(message) {
    if (!this.#seen.has(message.raw)) this.responses.push({ ...message, at: Date.now() });
    this.#seen.add(message.raw);
    if (message.status >= 300) {
      const to = `To: ${header(message, "to")}`;
      return this.#toProxy(this.#request("ACK", 1, this.#branch, [], "", to));
    }
    if (message.status < 200) return;
    if (!this.#answer) {
      this.#answer = message;
      this.rtp.accept(message.body);
      this.rtp.start();
    }
    this.#inDialog("ACK", 1);
  }

  #inDialog(method, cseq, extra = []) {
    const answer = this.#answer;
    const route = headers(answer, "record-route")
      .flatMap((value) => value.split(/,\s*(?=<)/))
      .reverse();
    const target = uriOf(header(answer, "contact"));
    const next = hostPort(route.length > 0 ? uriOf(route[0]) : target);
    const lines = [...route.map((each) => `Route: ${each}`), ...extra];
    const text = this.#request(method, cseq, newBranch(), lines, "", `To: ${header(answer, "to")}`, target);
    this.#details.send(text, { address: next.host, port: next.port });
  }

  #toProxy(text) {
    this.#details.send(text, { address: HOST, port: this.#details.proxyPort });
  }

  #request(method, cseq, branch, lines = [], body = "", to = null, uri = null) {
    const { port, proxyPort, number } = this.#details;
    const target = `sip:${number}@${HOST}:${proxyPort}`;
    return [
      `${method} ${uri ?? target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${HOST}:${port};branch=${branch};rport`,
      "Max-Forwards: 70",
      `From: "${this.#details.name}" <sip:${CALLER_NUMBER}@${HOST}>;tag=${this.#tag}`,
      to ?? `To: <${target}>`,
      `Call-ID: ${this.sipCallId}`,
      `CSeq: ${cseq} ${method}`,
      ...lines,
      `Content-Length: ${Buffer.byteLength(body)}`,
      "",
      body,
    ].join("\r\n");
  }
}
