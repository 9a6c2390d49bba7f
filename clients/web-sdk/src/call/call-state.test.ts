import assert from "node:assert/strict";
import { test } from "node:test";
import { CallError } from "../errors.js";
import { inboundCall, outboundCall, stepCall } from "./call-state.js";
import type { CallEffect, CallInput, CallModel, CallStateName } from "./call-state.js";

const TO_TRYING: CallInput[] = [
  { type: "dial" },
  { type: "offer-made", sdp: "offer" },
  { type: "invite-accepted" },
];
const BUSY = { cause: "USER_BUSY", causeCode: 17, sipCode: 486, sipReason: "Busy Here" };

function run(
  call: CallModel,
  inputs: CallInput[],
): { call: CallModel; effects: CallEffect[]; states: CallStateName[] } {
  const effects: CallEffect[] = [];
  for (const input of inputs) {
    const [next, more] = stepCall(call, input);
    call = next;
    effects.push(...more);
  }
  const states = effects.flatMap((effect) => (effect.type === "enter" ? [effect.state] : []));
  return { call, effects, states };
}

test("D2 with an early answer: requesting, trying, ringing, active, and active at once with the 200", () => {
  const { states } = run(outboundCall(), [
    ...TO_TRYING,
    { type: "media", sdp: "answer" },
    { type: "remote-media-applied" },
    { type: "ringing" },
    { type: "answer", sdp: null },
  ]);
  assert.deepEqual(states, ["requesting", "trying", "ringing", "active"]);
});

test("early media on the audio path of an early answer is told by the server", () => {
  const { states } = run(outboundCall(), [
    ...TO_TRYING,
    { type: "media", sdp: "answer" },
    { type: "remote-media-applied" },
    { type: "ringing" },
    { type: "early-media" },
    { type: "early-media" },
    { type: "answer", sdp: null },
    { type: "early-media" },
  ]);
  assert.deepEqual(states, ["requesting", "trying", "ringing", "early", "active"]);
});

test("media after the ringing is the far end's early media", () => {
  const { states } = run(outboundCall(), [
    ...TO_TRYING,
    { type: "ringing" },
    { type: "media", sdp: "answer" },
    { type: "remote-media-applied" },
    { type: "answer", sdp: null },
  ]);
  assert.deepEqual(states, ["requesting", "trying", "ringing", "early", "active"]);
});

test("an answer that carries the media description is active only when that is applied", () => {
  const before = run(outboundCall(), [...TO_TRYING, { type: "answer", sdp: "answer" }]);
  assert.equal(before.call.state, "trying");
  const after = run(before.call, [{ type: "remote-media-applied" }]);
  assert.equal(after.call.state, "active");
});

test("an answer without any media description ends the call with an error and tells the server", () => {
  const { call, effects } = run(outboundCall(), [...TO_TRYING, { type: "answer", sdp: null }]);
  assert.equal(call.state, "hangup");
  const types = effects.map((effect) => effect.type);
  assert.ok(types.includes("report") && types.includes("send-bye"));
});

test("R27: neither ringing nor media makes a call active", () => {
  const { states } = run(outboundCall(), [
    ...TO_TRYING,
    { type: "ringing" },
    { type: "ringing" },
    { type: "media", sdp: "answer" },
    { type: "remote-media-applied" },
  ]);
  assert.ok(!states.includes("active"));
});

test("a second media description is ignored", () => {
  const { effects } = run(outboundCall(), [
    ...TO_TRYING,
    { type: "media", sdp: "first" },
    { type: "media", sdp: "second" },
    { type: "answer", sdp: "third" },
  ]);
  assert.deepEqual(
    effects.filter((effect) => effect.type === "apply-remote-media"),
    [{ type: "apply-remote-media", sdp: "first" }],
  );
});

test("D3: an inbound call rings, is answered and becomes active with the server's result", () => {
  const { states, effects } = run(inboundCall(), [
    { type: "ringing" },
    { type: "accept" },
    { type: "answer-made", sdp: "answer" },
    { type: "answer-accepted" },
  ]);
  assert.deepEqual(states, ["ringing", "answering", "active"]);
  assert.ok(effects.some((effect) => effect.type === "send-answer"));
});

test("the cause of a hang-up tells a cancelled call from a finished one", () => {
  const ringing = run(outboundCall(), [...TO_TRYING, { type: "ringing" }]).call;
  assert.equal(run(ringing, [{ type: "hangup" }]).call.end?.causeCode, 17);
  const active = run(ringing, [{ type: "answer", sdp: "a" }, { type: "remote-media-applied" }]).call;
  assert.equal(run(active, [{ type: "hangup" }]).call.end?.causeCode, 16);
});

test("a call that never reached the server ends without a word to it", () => {
  const { states, effects } = run(outboundCall(), [{ type: "dial" }, { type: "hangup" }]);
  assert.deepEqual(states, ["hangup", "destroy"]);
  assert.ok(!effects.some((effect) => effect.type === "send-bye"));
});

test("a far end's bye keeps its cause, and no bye goes back", () => {
  const { call, states, effects } = run(outboundCall(), [...TO_TRYING, { type: "remote-bye", end: BUSY }]);
  assert.deepEqual(states.slice(-2), ["hangup", "destroy"]);
  assert.deepEqual(call.end, { ...BUSY, by: "remote" });
  assert.ok(!effects.some((effect) => effect.type === "send-bye"));
});

test("hold and resume only on an answered call, and only when the server has done it", () => {
  const trying = run(outboundCall(), TO_TRYING).call;
  assert.equal(run(trying, [{ type: "hold-changed", held: true }]).call.state, "trying");
  const active = run(trying, [{ type: "answer", sdp: "a" }, { type: "remote-media-applied" }]).call;
  const { states } = run(active, [
    { type: "hold-changed", held: true },
    { type: "hold-changed", held: true },
    { type: "hold-changed", held: false },
  ]);
  assert.deepEqual(states, ["held", "active"]);
});

function activeCall(): CallModel {
  return run(outboundCall(), [...TO_TRYING, { type: "answer", sdp: "a" }, { type: "remote-media-applied" }])
    .call;
}

test("C15: attach recovers with new media and goes back to where the call was", () => {
  const held = run(activeCall(), [{ type: "hold-changed", held: true }]).call;
  const { states, effects } = run(held, [
    { type: "attach", sdp: "offer" },
    { type: "answer-made", sdp: "answer" },
    { type: "attach-accepted" },
  ]);
  assert.deepEqual(states, ["recovering", "held"]);
  assert.deepEqual(
    effects.filter(({ type }) => type === "renew-media" || type === "send-attach"),
    [
      { type: "renew-media", sdp: "offer" },
      { type: "send-attach", sdp: "answer" },
    ],
  );
});

test("an attach for a call that was never answered changes nothing", () => {
  const { call, effects } = run(run(outboundCall(), TO_TRYING).call, [{ type: "attach", sdp: "offer" }]);
  assert.equal(call.state, "trying");
  assert.deepEqual(effects, []);
});

test("a hang-up while recovering is that of a call that was talked on", () => {
  const { call } = run(activeCall(), [{ type: "attach", sdp: "offer" }, { type: "hangup" }]);
  assert.equal(call.end?.cause, "NORMAL_CLEARING");
});

test("C19: a broken path is searched anew at once, once, and the state stays", () => {
  const { call, effects, states } = run(activeCall(), [
    { type: "path-lost", final: false },
    { type: "path-lost", final: true },
    { type: "search-done", connected: false },
    { type: "path-up" },
  ]);
  assert.deepEqual(effects, [{ type: "search-path" }]);
  assert.deepEqual(states, []);
  assert.deepEqual(call.path, { name: "up" });
});

test("while the server cannot be asked the search waits for it", () => {
  const away = run(activeCall(), [{ type: "path-lost", final: true }, { type: "search-postponed" }]).call;
  assert.deepEqual(run(away, [{ type: "signaling-back" }]).effects, [{ type: "search-path" }]);
  assert.deepEqual(run(activeCall(), [{ type: "signaling-back" }]).effects, []);
});

test("a path that never comes back ends the call, with the server told", () => {
  const round: CallInput[] = [
    { type: "path-lost", final: true },
    { type: "search-done", connected: false },
  ];
  const { effects, call } = run(activeCall(), Array.from({ length: 6 }, () => round).flat());
  assert.equal(effects.filter(({ type }) => type === "search-path").length, 5);
  assert.equal(call.state, "hangup");
  const report = effects.find((effect) => effect.type === "report");
  assert.equal(report?.error.code, 47002);
});

test("an app that asks for a new path on a working one may do so as often as it likes", () => {
  const round: CallInput[] = [
    { type: "path-lost", final: false },
    { type: "search-done", connected: true },
  ];
  const { call } = run(activeCall(), Array.from({ length: 20 }, () => round).flat());
  assert.equal(call.state, "active");
});

test("a path lost before the answer ends the call only when the browser has given up", () => {
  const ringing = run(outboundCall(), [...TO_TRYING, { type: "ringing" }]).call;
  assert.equal(run(ringing, [{ type: "path-lost", final: false }]).call.state, "ringing");
  assert.equal(run(ringing, [{ type: "path-lost", final: true }]).call.state, "hangup");
});

test("R70: a hold of the far end is told, and is not taken as ours", () => {
  const { call, effects } = run(activeCall(), [
    { type: "far-hold-changed", held: true },
    { type: "far-hold-changed", held: true },
  ]);
  assert.equal(call.state, "active");
  assert.deepEqual(effects, [{ type: "far-hold", held: true }]);
  assert.equal(call.heldByFarEnd, true);
});

test("nothing brings an ended call back, whatever arrives in whatever order", () => {
  const ended = run(outboundCall(), [...TO_TRYING, { type: "hangup" }, { type: "hangup-confirmed" }]).call;
  const late: CallInput[] = [
    { type: "dial" },
    { type: "offer-made", sdp: "x" },
    { type: "invite-accepted" },
    { type: "ringing" },
    { type: "media", sdp: "x" },
    { type: "answer", sdp: "x" },
    { type: "remote-media-applied" },
    { type: "accept" },
    { type: "answer-accepted" },
    { type: "hold-changed", held: true },
    { type: "far-hold-changed", held: true },
    { type: "attach", sdp: "x" },
    { type: "attach-accepted" },
    { type: "path-lost", final: true },
    { type: "signaling-back" },
    { type: "hangup" },
    { type: "remote-bye", end: BUSY },
    { type: "failed", error: new CallError(49001) },
  ];
  const { call, effects } = run(ended, late);
  assert.equal(call.state, "destroy");
  assert.deepEqual(effects, []);
});
