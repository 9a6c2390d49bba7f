// A browser calls a carrier: the public SDK on one side, SIPp, baresip or the measuring carrier on the other.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { near } from "../lib/phone.mjs";
import { BROWSER_HZ, CARRIER_HZ } from "../lib/talk.mjs";
import { msBetween } from "../lib/trace.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

/** The demand: both ends hear each other within a second of the answer. */
const AUDIO_AFTER_ANSWER_MS = 1_000;
/** How long the SDK waits for the result of a hang-up. */
const SDK_WAITS_MS = 1_000;

let world;
let phone;

before(async () => {
  world = await World.open();
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** What an ended call shows, without the names that differ per call. */
function outcome({ state, cause, causeCode, sipCode, sipReason }) {
  return { state, cause, causeCode, sipCode, sipReason };
}

for (const codec of ["PCMU", "PCMA"]) {
  test(`a carrier that speaks ${codec} alone: both ends hear each other within a second of the answer`, async () => {
    const carrier = await world.carrier({ codecs: [codec], toneHz: CARRIER_HZ });
    const id = await phone.call("+491000");
    await phone.untilState(id, "active");
    const [call] = carrier.calls;
    await phone.untilHears(id, CARRIER_HZ);
    await until("the carrier hears 700 Hz", () => near(call.rtp.heardHz(), BROWSER_HZ));
    // By the carrier's clock and its first packet: how fast the tests look at it is no matter of the platform.
    const afterMs = call.rtp.firstPacketAt - call.answeredAt;
    assert.ok(afterMs <= AUDIO_AFTER_ANSWER_MS, `${afterMs} ms`);
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
  });

  test(`SIPp with ${codec} alone plays a tone that the browser hears`, async () => {
    const sipp = await world.sipp(`tone-${codec.toLowerCase()}`, { codec, toneHz: CARRIER_HZ });
    const id = await phone.call("+492000");
    await phone.untilState(id, "active");
    await phone.untilHears(id, CARRIER_HZ);
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
    assert.equal(await sipp.finished(), 0, sipp.errors());
  });

  test(`SIPp with ${codec} alone echoes: the browser hears its own tone`, async () => {
    const sipp = await world.sipp(`echo-${codec.toLowerCase()}`, { codec });
    const id = await phone.call("+492000");
    await phone.untilState(id, "active");
    await phone.untilHears(id, BROWSER_HZ);
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
    assert.equal(await sipp.finished(), 0, sipp.errors());
  });
}

for (const [name, codec] of [
  ["Opus", "opus/48000/2"],
  ["PCMU", "PCMU/8000/1"],
  ["PCMA", "PCMA/8000/1"],
]) {
  test(`baresip with ${name} alone: both ends hear each other`, async () => {
    const baresip = await world.baresip({ number: "493000", codecs: [codec], toneHz: CARRIER_HZ });
    const id = await phone.call("+493000");
    await phone.untilState(id, "active");
    await phone.untilHears(id, CARRIER_HZ);
    await until("baresip hears 700 Hz", () => near(baresip.heardHz(), BROWSER_HZ));
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
  });
}

test("an Opus carrier: the same codec on both legs, nothing transcoded, packets both ways", async () => {
  const carrier = await world.carrier({ codecs: ["opus"] });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, BROWSER_HZ);
  assert.equal((await phone.ask("stats", id)).codec, "audio/opus");
  assert.ok(carrier.calls[0].rtp.packetsReceived > 0);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});

test("early media is heard before the answer", async () => {
  const sipp = await world.sipp("early-media", { toneHz: CARRIER_HZ });
  const id = await phone.call("+492000");
  await phone.untilState(id, "early");
  await phone.untilHears(id, CARRIER_HZ);
  assert.equal(await phone.state(id), "early");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  assert.equal(await sipp.finished(), 0, sipp.errors());
});

test("C10: with early_sdp_answer `media` follows the result of the invite, and the audio path is up before the far end answers", async () => {
  const early = await world.loggedIn("bob", { earlySdpAnswer: true });
  let answer;
  await world.carrier({
    toneHz: CARRIER_HZ,
    script: (call) => {
      call.ring();
      answer = () => call.answer();
    },
  });
  const id = await early.call("+491000");
  await until(
    "connected while ringing",
    async () => (await early.ask("connection", id))?.state === "connected",
  );
  assert.equal(await early.state(id), "early");
  const frames = (await early.frames()).filter(({ from }) => from === "server").map(({ frame }) => frame);
  const created = frames.findIndex(({ result }) => result?.message === "CALL CREATED");
  assert.equal(frames[created + 1]?.method, "telnyx_rtc.media");
  await until("the carrier rings", () => answer);
  answer();
  await early.untilState(id, "active");
  await early.untilHears(id, CARRIER_HZ);
  await early.close();
});

test("C10: early media after an early answer: our SDK is told and says `early`; the public one, which says so already, goes on", async () => {
  let call;
  const carrier = await world.carrier({
    toneHz: CARRIER_HZ,
    script: (arrived) => {
      call = arrived;
      arrived.ring();
    },
  });
  const own = await world.ownPhone();
  await own.logIn("bob");
  const ownId = await own.call("+491000");
  await own.untilState(ownId, "ringing");
  call.progress();
  await own.untilState(ownId, "early");
  call.answer();
  await own.untilState(ownId, "active");
  assert.deepEqual(await own.states(ownId), ["requesting", "trying", "ringing", "early", "active"]);
  await own.hangup(ownId);
  await own.close();

  const early = await world.loggedIn("bob", { earlySdpAnswer: true });
  const id = await early.call("+491000");
  await until("it rings", () => carrier.calls.length === 2);
  call.progress();
  await early.untilHears(id, CARRIER_HZ);
  assert.equal(await early.state(id), "early");
  call.answer();
  await early.untilState(id, "active");
  await early.untilHears(id, CARRIER_HZ);
  const { states, errors } = await early.records();
  assert.deepEqual(
    [states.map(({ state }) => state), errors],
    [["new", "requesting", "trying", "early", "active"], []],
  );
  await early.ask("hangup", id);
  await early.untilEnded(id);
  await early.close();
});

test("M17: hanging up in the browser ends the carrier's call with a BYE", async () => {
  const carrier = await world.carrier();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.ask("hangup", id);
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.cause, end.causeCode], ["NORMAL_CLEARING", 16]);
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
  assert.equal(carrier.requests("CANCEL").length, 0);
});

test("M17: the carrier hanging up ends the call in the browser", async () => {
  const sipp = await world.sipp("remote-hangup");
  const id = await phone.call("+492000");
  const end = await phone.untilEnded(id);
  assert.ok((await phone.states(id)).includes("active"));
  assert.deepEqual([end.cause, end.causeCode], ["NORMAL_CLEARING", 16]);
  assert.equal(await sipp.finished(), 0, sipp.errors());
});

test("M14: hanging up while it rings cancels the call, and the SDK hears of it within a second", async () => {
  const sipp = await world.sipp("no-answer");
  const id = await phone.call("+492000");
  await until("180 sent", () => sipp.messages().includes("180 Ringing"));
  await phone.ask("hangup", id);
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.cause, end.causeCode], ["USER_BUSY", 17]);
  assert.equal(await sipp.finished(), 0, sipp.errors());
  const { events } = await world.offhook.trace(id);
  const afterMs = msBetween(events, ["client", "vsp", "bye"], ["vsp", "client", "result bye"]);
  assert.ok(afterMs < SDK_WAITS_MS, `${afterMs} ms`);
});

for (const [scenario, cause, causeCode, sipCode, sipReason] of [
  ["busy", "USER_BUSY", 17, 486, "Busy Here"],
  ["not-found", "UNALLOCATED_NUMBER", 1, 404, "Not Found"],
  ["decline", "CALL_REJECTED", 21, 603, "Decline"],
]) {
  test(`M13: a carrier that answers ${sipCode}: the app sees ${cause}, and no error`, async () => {
    const before = (await phone.records()).errors.length;
    const sipp = await world.sipp(scenario);
    const id = await phone.call("+492000");
    const end = await phone.untilEnded(id);
    assert.deepEqual(outcome(end), { state: "destroy", cause, causeCode, sipCode, sipReason });
    assert.equal((await phone.records()).errors.length, before);
    assert.equal(await sipp.finished(), 0, sipp.errors());
  });
}

test("M13: a carrier that answers 403: the app sees CALL_REJECTED, and no error", async () => {
  const before = (await phone.records()).errors.length;
  await world.carrier({ script: (call) => call.reject(403, "Forbidden") });
  const end = await phone.untilEnded(await phone.call("+491000"));
  assert.deepEqual(outcome(end), {
    state: "destroy",
    cause: "CALL_REJECTED",
    causeCode: 21,
    sipCode: 403,
    sipReason: "Forbidden",
  });
  assert.equal((await phone.records()).errors.length, before);
});

test("M13: a carrier that rings for ever is cancelled after the ring timeout", async () => {
  const hasty = await World.open({ vsp: { ring_timeout_s: 3 } });
  try {
    const sipp = await hasty.sipp("no-answer");
    const caller = await hasty.loggedIn();
    const end = await caller.untilEnded(await caller.call("+492000"));
    assert.deepEqual([end.cause, end.causeCode], ["NO_ANSWER", 19]);
    assert.ok([408, 480].includes(end.sipCode), String(end.sipCode));
    assert.equal(await sipp.finished(), 0, sipp.errors());
  } finally {
    await hasty.close();
  }
});

test("M13: a carrier that is not there ends the call with a clear cause", async () => {
  const id = await phone.call("+495000");
  const end = await phone.untilEnded(id);
  assert.ok([408, 500, 503].includes(end.sipCode), JSON.stringify(end));
  assert.ok(
    ["NORMAL_TEMPORARY_FAILURE", "RECOVERY_ON_TIMER_EXPIRE", "NO_ANSWER"].includes(end.cause),
    end.cause,
  );
});

test("a dead carrier is passed over for the next one", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const id = await phone.call("+494000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  assert.equal(carrier.calls.length, 1);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});

test("a carrier that answers 503 is passed over for the next one", async () => {
  const dead = await world.carrier({
    port: world.ports.carriers.dead,
    script: (call) => call.reject(503, "Service Unavailable"),
  });
  const live = await world.carrier();
  const id = await phone.call("+494000");
  await phone.untilState(id, "active");
  assert.deepEqual([dead.calls.length, live.calls.length], [1, 1]);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});

test("a number that no carrier serves does not exist", async () => {
  const id = await phone.call("+999000");
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.cause, end.causeCode, end.sipCode], ["UNALLOCATED_NUMBER", 1, 404]);
});
