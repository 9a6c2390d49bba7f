// D2: the outbound call, message by message, over the trace of all hops. R2, R22 to R29, R57, R60.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { CALL_ID_HEADER, inOrder } from "../lib/trace.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CARRIER_HZ = 440;

/** The ten steps of D2, as [sender, receiver, message]; step 10 is the media. */
const D2 = [
  ["client", "vsp", "invite"],
  ["vsp", "sip-proxy", "INVITE"],
  ["sip-proxy", "carrier", "INVITE"],
  ["carrier", "sip-proxy", "100 INVITE"],
  ["sip-proxy", "vsp", "180 INVITE"],
  ["vsp", "client", "ringing"],
  ["carrier", "sip-proxy", "200 INVITE"],
  ["sip-proxy", "vsp", "200 INVITE"],
  ["vsp", "client", "answer"],
];

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("D2, R2, R22, R27, R29: all steps of an outbound call in their order, under one call id, media at the end", async () => {
  const phone = await world.loggedIn();
  const carrier = await world.carrier({
    toneHz: CARRIER_HZ,
    // A carrier that answers in the same moment may well be ahead of the news that it rings.
    script: async (call) => {
      call.ring();
      await until("the browser knows that it rings", async () =>
        (await phone.frames()).some(({ frame }) => frame.method === "telnyx_rtc.ringing"),
      );
      call.answer();
    },
  });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");

  const trace = await world.offhook.trace(id);
  assert.ok(trace, "the call is found by the client's callID");
  inOrder(trace.events, D2);
  const answered = trace.events.findIndex((event) => event.name === "answer" && event.to === "client");
  const started = trace.events.findIndex(
    (event) => event.protocol === "media" && event.name.startsWith("media-started"),
  );
  assert.ok(started >= 0, "media events are in the trace");
  assert.ok(answered >= 0);

  const [call] = carrier.calls;
  assert.equal(call.header(CALL_ID_HEADER), trace.call_id, "the call id reaches the carrier");
  assert.equal((await phone.look(id)).ids.telnyxSessionId, trace.call_id, "and the client");
  await phone.close();
});

test("R24: the carrier's 100 Trying ends at the proxy", async () => {
  await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const { events } = await world.offhook.trace(id);
  const hundred = events.filter((event) => event.name === "100 INVITE" && event.from === "carrier");
  assert.ok(hundred.length > 0);
  assert.ok(hundred.every((event) => event.to === "sip-proxy"));
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("R57, R60: one INVITE, one ACK and one BYE at the carrier; both ends of each hop saw each of them", async () => {
  const carrier = await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  for (const method of ["INVITE", "ACK", "BYE"]) {
    await until(`${method} at the carrier`, () => carrier.requests(method).length > 0);
    assert.equal(carrier.requests(method).length, 1, method);
  }
  const { events } = await world.offhook.trace(id);
  for (const method of ["INVITE", "ACK", "BYE"]) {
    const between = events.filter(
      (event) => event.name === method && event.from === "vsp" && event.to === "sip-proxy",
    );
    // A retransmission is seen again.
    const observers = new Set(between.map((event) => event.observer));
    assert.deepEqual([...observers].sort(), ["sip-proxy", "vsp"], method);
  }
  await phone.close();
});

test("D2, R25, as our own SDK tells it: requesting, trying, ringing with the 180, active with the 200", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ, script: (call) => call.ring() });
  const phone = await world.ownPhone();
  await phone.logIn("alice");
  const id = await phone.call("+491000");
  await phone.untilState(id, "ringing");
  carrier.calls[0].answer();
  await phone.untilState(id, "active");
  await phone.hangup(id);
  await phone.untilState(id, "destroy");
  assert.deepEqual(await phone.states(id), [
    "requesting",
    "trying",
    "ringing",
    "active",
    "hangup",
    "destroy",
  ]);
  await phone.close();
});

test("R64: muting sends nothing, neither to the server nor to the carrier, and the far end hears silence", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const { rtp } = carrier.calls[0];
  await until("the carrier hears the browser", () => rtp.heardHz() !== null);
  const said = async () => [
    await phone.requests("client"),
    await phone.requests("server"),
    carrier.received.length,
  ];
  const before = await said();
  await phone.ask("mute", id);
  await until("the carrier hears silence", () => rtp.heardHz() === null);
  assert.deepEqual(await said(), before);
  await phone.ask("unmute", id);
  await until("the carrier hears the browser again", () => rtp.heardHz() !== null);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});
