// The carrier's RTP end: sends a tone every 20 ms, listens, decodes G.711, collects telephone-event digits.
import { bindUdp } from "./ports.mjs";
import { G711 } from "./g711.mjs";
import { readOpus } from "./opus.mjs";
import { dominantHz, sine } from "./tone.mjs";

const HOST = "127.0.0.1";
const PACKET_MS = 20;
const STATIC_TYPES = { PCMU: 0, PCMA: 8 };
const SAMPLES = 160;
const EVENTS = "0123456789*#ABCD";
/** How much audio is judged: half a second. */
const WINDOW_SAMPLES = 4_000;

export class RtpEnd {
  /** Audio packets. */
  packetsReceived = 0;
  /** Packets of any payload type. */
  anyReceived = 0;
  packetsSent = 0;
  lost = 0;
  /** Lengths of the audio payloads received, in bytes. */
  payloadSizes = new Set();
  /** How often the RTP timestamp went on by how much from one audio packet to the next, in ticks. */
  timestampSteps = new Map();
  lastPacketAt = 0;
  firstPacketAt = 0;
  /** Largest pause between two packets since `watchGaps()`, in ms, without what this process was late by itself. */
  gapMaxMs = 0;
  digits = "";
  /** Name of the codec agreed on, or `null` when there is none. */
  codec = null;
  /** How many audio packets have come of each codec that was agreed on, by name. */
  packetsOf = new Map();
  /** What the Opus packets have said of themselves, each different one once, and how many corrected the one before. */
  opusHeard = { bands: new Set(), stereo: new Set(), correcting: 0 };
  #socket;
  #remote;
  #payloadType;
  /** Codec names by payload type, what we send with first: more than one for an end that leaves the choice. */
  #agreed = new Map();
  #eventType;
  /** Parameters of Opus in our descriptions. */
  #opus;
  #toneHz;
  #samples = [];
  #lastSequence = null;
  #lastTimestamp = null;
  #lastEventTimestamp = null;
  #sequence = 1;
  #sdpVersion = 0;
  #timestamp = 160;
  #timer = null;
  #startedAt = 0;
  /** Packets that were due since then, those not sent included. */
  #due = 0;
  /** Its own direction allows it to send. */
  #maySend = true;
  #lateness = null;
  /** It answers with all codecs that it can do, in the other side's order, and not with its favourite alone. */
  #leavesChoice = false;
  /** Address that its descriptions name: behind NAT, another one than its packets come from. */
  #advertised = HOST;

  /** Reads the offer, agrees on a codec and opens a port. */
  static async open(offer, { codecs, toneHz, advertised = HOST, leavesChoice = false, opus = null }) {
    const end = new RtpEnd();
    end.#opus = opus;
    end.#leavesChoice = leavesChoice;
    end.#advertised = advertised;
    end.#socket = await bindUdp(0);
    end.#toneHz = toneHz;
    end.#agree(offer, codecs);
    end.#lateness = new Lateness();
    end.#socket.on("message", (packet) => end.#onPacket(packet));
    return end;
  }

  /** Opens a port to offer `codecs`; the answer goes to `accept`. */
  static async offering({ codecs, toneHz }) {
    const offer = codecs.map((name) => `a=rtpmap:${STATIC_TYPES[name]} ${name}/8000`).join("\n");
    const types = codecs.map((name) => STATIC_TYPES[name]).join(" ");
    const end = await RtpEnd.open(
      `m=audio 9 RTP/AVP ${types} 101\n${offer}\na=rtpmap:101 telephone-event/8000\n`,
      { codecs, toneHz },
    );
    return end;
  }

  accept(answer) {
    this.#agree(answer, [this.codec]);
  }

  #agree(offer, codecs) {
    const address = /^c=IN IP4 (\S+)/m.exec(offer)?.[1] ?? HOST;
    const media = /^m=audio (\d+) \S+ ([\d ]+)/m.exec(offer);
    if (!media) return;
    this.#remote = { address, port: Number(media[1]) };
    const offered = media[2].trim().split(" ").map(Number);
    const names = new Map([
      [0, "PCMU"],
      [8, "PCMA"],
    ]);
    for (const [, type, name] of offer.matchAll(/^a=rtpmap:(\d+) ([\w-]+)\//gm))
      names.set(Number(type), name);
    const find = (name) => offered.find((type) => names.get(type)?.toLowerCase() === name.toLowerCase());
    const known = codecs.filter((name) => find(name) !== undefined);
    if (this.#leavesChoice)
      known.sort((one, next) => offered.indexOf(find(one)) - offered.indexOf(find(next)));
    this.codec = known[0] ?? null;
    this.#payloadType = this.codec && find(this.codec);
    this.#agreed = new Map(
      known.slice(0, this.#leavesChoice ? known.length : 1).map((name) => [find(name), name]),
    );
    this.#eventType = find("telephone-event") ?? null;
  }

  /** Our description; each is a new version of it. */
  sdp(direction = "sendrecv") {
    this.#sdpVersion += 1;
    const types = [...this.#agreed.keys(), this.#eventType].filter((type) => type !== null);
    const rate = (name) => (name === "opus" ? "48000/2" : "8000");
    return [
      "v=0",
      `o=carrier 1 ${this.#sdpVersion} IN IP4 ${HOST}`,
      "s=-",
      `c=IN IP4 ${this.#advertised}`,
      "t=0 0",
      `m=audio ${this.#socket.address().port} RTP/AVP ${types.join(" ")}`,
      ...[...this.#agreed].map(([type, name]) => `a=rtpmap:${type} ${name}/${rate(name)}`),
      ...[...this.#agreed]
        .filter(([, name]) => name === "opus" && this.#opus)
        .map(([type]) => `a=fmtp:${type} ${this.#opus}`),
      ...(this.#eventType === null
        ? []
        : [`a=rtpmap:${this.#eventType} telephone-event/8000`, `a=fmtp:${this.#eventType} 0-15`]),
      "a=ptime:20",
      `a=${direction}`,
      "",
    ].join("\r\n");
  }

  /** One digit as telephone-event, as RFC 4733 wants it: repeated while it sounds, its end three times. */
  sendDigit(digit) {
    const event = EVENTS.indexOf(digit);
    const timestamp = this.#timestamp;
    const packets = [160, 320, 480, 640, 640, 640];
    packets.forEach((duration, at) => {
      const payload = Buffer.from([event, at > 2 ? 0x8a : 0x0a, duration >> 8, duration & 255]);
      this.#timestamp = timestamp;
      this.#sendPacket(this.#eventType, payload, at === 0);
    });
  }

  /** Another tone from now on, in Hz, or silence (`null`). */
  play(toneHz) {
    this.#toneHz = toneHz;
  }

  /** Begins to send, once. */
  start() {
    const passive = ["echo", "nothing"].includes(this.#toneHz) || this.codec === "opus";
    if (this.#timer !== null || passive) return;
    this.#startedAt = Date.now();
    this.#timer = setInterval(() => this.#catchUp(), PACKET_MS / 2);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** What its latest description says of itself: it sends only where that says so. */
  follow(direction) {
    this.#maySend = ["sendrecv", "sendonly"].includes(direction);
  }

  close() {
    this.stop();
    this.#socket?.close();
    this.#socket = null;
    this.#lateness.stop();
  }

  /** The tone heard during the last half second, in Hz; `null` while there is none. */
  heardHz() {
    const stopped = Date.now() - this.lastPacketAt > WINDOW_SAMPLES / 8;
    if (stopped || this.#samples.length < WINDOW_SAMPLES) return null;
    return dominantHz(this.#samples.slice(-WINDOW_SAMPLES), 8_000);
  }

  /** Root mean square of the last half second. */
  heardLevel() {
    const window = this.#samples.slice(-WINDOW_SAMPLES);
    return Math.sqrt(window.reduce((sum, each) => sum + each * each, 0) / Math.max(window.length, 1));
  }

  watchGaps() {
    this.gapMaxMs = 0;
  }

  /** Sends as many packets as are due: timers of a busy machine come late, the audio must not. */
  #catchUp() {
    const due = Math.floor((Date.now() - this.#startedAt) / PACKET_MS);
    for (; this.#due < due; this.#due += 1) {
      if (this.#maySend) this.#sendTone();
      else this.#timestamp += SAMPLES;
    }
  }

  #sendTone() {
    const samples =
      this.#toneHz === null
        ? new Array(SAMPLES).fill(0)
        : sine(this.#toneHz, 8_000, SAMPLES, this.#due * SAMPLES);
    this.#sendPacket(this.#payloadType, G711[this.codec].encode(samples), this.packetsSent === 0);
  }

  #sendPacket(payloadType, payload, marker) {
    const packet = Buffer.alloc(12 + payload.length);
    packet[0] = 0x80;
    packet[1] = payloadType | (marker ? 0x80 : 0);
    packet.writeUInt16BE(this.#sequence & 0xffff, 2);
    packet.writeUInt32BE(this.#timestamp >>> 0, 4);
    packet.writeUInt32BE(0x0ff400c, 8);
    payload.copy(packet, 12);
    this.#sequence += 1;
    this.#timestamp += this.codec === "opus" ? SAMPLES * 6 : SAMPLES;
    this.packetsSent += 1;
    this.#socket?.send(packet, this.#remote.port, this.#remote.address);
  }

  #onPacket(packet) {
    if (packet.length < 12 || packet[0] >> 6 !== 2) return;
    this.anyReceived += 1;
    const type = packet[1] & 0x7f;
    const payload = packet.subarray(12);
    if (type === this.#eventType) return this.#onEvent(packet.readUInt32BE(4), payload);
    const codec = this.#agreed.get(type);
    if (codec === undefined) return;
    this.packetsOf.set(codec, (this.packetsOf.get(codec) ?? 0) + 1);
    if (codec === "opus") this.#noteOpus(payload);
    this.#count(packet.readUInt16BE(2));
    this.payloadSizes.add(payload.length);
    this.#countStep(packet.readUInt32BE(4));
    const g711 = G711[codec];
    if (g711) {
      this.#samples.push(...g711.decode(payload));
      if (this.#samples.length > 4 * WINDOW_SAMPLES) this.#samples.splice(0, 2 * WINDOW_SAMPLES);
    }
    if (this.#maySend && (this.#toneHz === "echo" || this.codec === "opus"))
      this.#sendPacket(type, payload, this.packetsSent === 0);
  }

  #count(sequence) {
    const now = Date.now();
    if (this.packetsReceived === 0) this.firstPacketAt = now;
    else this.gapMaxMs = Math.max(this.gapMaxMs, now - this.lastPacketAt - this.#lateness.take());
    if (this.#lastSequence !== null) {
      const ahead = (sequence - this.#lastSequence - 1) & 0xffff;
      if (ahead < 0x8000) this.lost += ahead;
    }
    this.#lastSequence = sequence;
    this.lastPacketAt = now;
    this.packetsReceived += 1;
  }

  #noteOpus(payload) {
    const { band, stereo, corrects } = readOpus(payload);
    this.opusHeard.bands.add(band);
    this.opusHeard.stereo.add(stereo);
    if (corrects) this.opusHeard.correcting += 1;
  }

  #countStep(timestamp) {
    if (this.#lastTimestamp !== null) {
      const step = (timestamp - this.#lastTimestamp) | 0;
      this.timestampSteps.set(step, (this.timestampSteps.get(step) ?? 0) + 1);
    }
    this.#lastTimestamp = timestamp;
  }

  /** All packets of one digit carry the same timestamp (RFC 4733). */
  #onEvent(timestamp, payload) {
    if (payload.length < 4 || timestamp === this.#lastEventTimestamp) return;
    this.#lastEventTimestamp = timestamp;
    this.digits += EVENTS[payload[0]] ?? "?";
  }
}

/** How late this process was in looking at its sockets: what comes late to us need not have been sent late. */
class Lateness {
  #largest = 0;
  #tickAt = Date.now();
  #timer = setInterval(() => this.#tick(), PACKET_MS / 2);

  /** The largest since the last time, in ms. */
  take() {
    this.#tick();
    const largest = this.#largest;
    this.#largest = 0;
    return largest;
  }

  stop() {
    clearInterval(this.#timer);
  }

  #tick() {
    const now = Date.now();
    this.#largest = Math.max(this.#largest, now - this.#tickAt - PACKET_MS / 2);
    this.#tickAt = now;
  }
}
