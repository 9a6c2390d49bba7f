// A name server that says what a test wants: NAPTR, SRV and A records over UDP.
import { bindUdp } from "./ports.mjs";

const KINDS = { 1: "A", 33: "SRV", 35: "NAPTR" };
const NUMBERS = Object.fromEntries(Object.entries(KINDS).map(([number, kind]) => [kind, Number(number)]));
const CLASS_IN = 1;
/** An authoritative answer that all went well. */
const ANSWER = 0x8400;

/**
 * Starts a name server. `zone` has lists of records by `"KIND name"`:
 * A `{ address }`, SRV `{ priority, weight, port, target }`, NAPTR `{ order, service, replacement }`, each with a `ttl`.
 */
export async function startDns(zone) {
  const dns = new Dns(zone);
  await dns.open();
  return dns;
}

class Dns {
  zone;
  /** What was asked, in order, as `"KIND name"`. */
  asked = [];
  #socket = null;

  constructor(zone) {
    this.zone = zone;
  }

  async open() {
    this.#socket = await bindUdp(0);
    this.#socket.on("message", (question, from) =>
      this.#socket.send(this.#answer(question), from.port, from.address),
    );
  }

  get address() {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close() {
    return new Promise((resolve) => this.#socket.close(resolve));
  }

  #answer(question) {
    const labels = [];
    let at = 12;
    for (; question[at] !== 0; at += 1 + question[at])
      labels.push(question.toString("latin1", at + 1, at + 1 + question[at]));
    const kind = KINDS[question.readUInt16BE(at + 1)];
    const key = `${kind ?? "?"} ${labels.join(".").toLowerCase()}`;
    this.asked.push(key);
    const records = this.zone[key] ?? [];
    const header = Buffer.alloc(12);
    question.copy(header, 0, 0, 2);
    [ANSWER, 1, records.length].forEach((value, index) => header.writeUInt16BE(value, 2 + 2 * index));
    const body = records.map((record) => encoded(kind, record));
    return Buffer.concat([header, question.subarray(12, at + 5), ...body]);
  }
}

function encoded(kind, record) {
  const data = {
    A: () => Buffer.from(record.address.split(".").map(Number)),
    SRV: () => Buffer.concat([words(record.priority, record.weight, record.port), name(record.target)]),
    NAPTR: () =>
      Buffer.concat([
        words(record.order, 0),
        ...["s", record.service, ""].map(text),
        name(record.replacement),
      ]),
  }[kind]();
  // Its owner is the name asked for, by a pointer to the question.
  return Buffer.concat([words(0xc00c, NUMBERS[kind], CLASS_IN, 0, record.ttl, data.length), data]);
}

function words(...values) {
  const buffer = Buffer.alloc(2 * values.length);
  values.forEach((value, index) => buffer.writeUInt16BE(value, 2 * index));
  return buffer;
}

function text(value) {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function name(value) {
  return Buffer.concat([...value.split(".").map(text), Buffer.from([0])]);
}
