/** What the browser's statistics say about a call's audio, in a form fit to show. */

export interface CallStats {
  /** For example `opus`, `PCMU`, `PCMA`; `null` before the first packet. */
  readonly codec: string | null;
  readonly packetsSent: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly jitterMs: number | null;
  readonly roundTripMs: number | null;
  /** Levels from 0 (silence) to 1. */
  readonly levelSent: number;
  readonly levelReceived: number;
}

type Entry = Record<string, unknown> & { type: string };

/** Reads the entries of an `RTCStatsReport`. */
export function readStats(entries: Iterable<Entry>): CallStats {
  const all = [...entries];
  const one = (type: string): Entry | undefined =>
    all.find((each) => each.type === type && (each["kind"] === undefined || each["kind"] === "audio"));
  const inbound = one("inbound-rtp");
  const outbound = one("outbound-rtp");
  const remote = one("remote-inbound-rtp");
  const pair = all.find((each) => each.type === "candidate-pair" && each["nominated"] === true);
  const codecId = outbound?.["codecId"] ?? inbound?.["codecId"];
  const codec = all.find((each) => each.type === "codec" && each["id"] === codecId);
  const roundTrip = number(pair, "currentRoundTripTime") ?? number(remote, "roundTripTime");
  const jitter = number(inbound, "jitter");
  return {
    codec: typeof codec?.["mimeType"] === "string" ? codec["mimeType"].replace(/^audio\//, "") : null,
    packetsSent: number(outbound, "packetsSent") ?? 0,
    packetsReceived: number(inbound, "packetsReceived") ?? 0,
    packetsLost: number(inbound, "packetsLost") ?? 0,
    jitterMs: jitter === null ? null : jitter * 1000,
    roundTripMs: roundTrip === null ? null : roundTrip * 1000,
    levelSent: number(one("media-source"), "audioLevel") ?? 0,
    levelReceived: number(inbound, "audioLevel") ?? 0,
  };
}

function number(entry: Entry | undefined, key: string): number | null {
  const value = entry?.[key];
  return typeof value === "number" ? value : null;
}
