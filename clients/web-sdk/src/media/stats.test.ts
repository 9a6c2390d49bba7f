import assert from "node:assert/strict";
import { test } from "node:test";
import { readStats } from "./stats.js";

test("reads codec, counters, times and levels from a browser's report", () => {
  const stats = readStats([
    { type: "codec", id: "C1", mimeType: "audio/opus" },
    { type: "codec", id: "C2", mimeType: "audio/telephone-event" },
    { type: "outbound-rtp", kind: "audio", codecId: "C1", packetsSent: 50 },
    {
      type: "inbound-rtp",
      kind: "audio",
      codecId: "C1",
      packetsReceived: 48,
      packetsLost: 2,
      jitter: 0.0031,
      audioLevel: 0.4,
    },
    { type: "media-source", kind: "audio", audioLevel: 0.2 },
    { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.012 },
  ]);
  assert.deepEqual(stats, {
    codec: "opus",
    packetsSent: 50,
    packetsReceived: 48,
    packetsLost: 2,
    jitterMs: 3.1,
    roundTripMs: 12,
    levelSent: 0.2,
    levelReceived: 0.4,
  });
});

test("an empty report means no codec and silence", () => {
  assert.deepEqual(readStats([]), {
    codec: null,
    packetsSent: 0,
    packetsReceived: 0,
    packetsLost: 0,
    jitterMs: null,
    roundTripMs: null,
    levelSent: 0,
    levelReceived: 0,
  });
});
