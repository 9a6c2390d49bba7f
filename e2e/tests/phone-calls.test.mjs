// Calls that SIP phones place: baresip, registered at the SIP proxy, calls a carrier, a browser and another phone.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import { PHONE_PASSWORD } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { header, uriOf } from "../lib/sip.mjs";
import { BROWSER_HZ, callIds, CARRIER_HZ, carrierHears, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const PHONE_HZ = 620;
const OTHER_PHONE_HZ = 500;
const ALICE = "+15550105";
const BOB = "+15550103";

let world;
let bob;
before(async () => {
  const phones = { phone_password: PHONE_PASSWORD };
  world = await World.open({ users: { alice: phones, bob: phones } });
  bob = await world.loggedIn("bob");
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("a phone dials the echo: it hears itself, with its user's number at the carrier, and hangs up", async () => {
  const carrier = await world.carrier({ toneHz: "echo" });
  const phone = await world.sipPhone({ toneHz: PHONE_HZ });
  phone.dial("+491000");
  await phone.event("CALL_ESTABLISHED");
  const [call] = carrier.calls;
  assert.match(call.header("from"), new RegExp(`sip:\\${ALICE}@`));
  assert.equal(call.header("proxy-authorization"), "");
  await carrierHears(call, PHONE_HZ);
  await until("the phone hears itself", () => near(phone.heardHz(), PHONE_HZ));
  phone.hangup();
  await until("BYE at the carrier", () => call.endedBy === "bye");
  const { events } = await world.offhook.trace(call.header("x-offhook-call-id"));
  for (const name of ["INVITE", "200 INVITE", "BYE"]) {
    assert.ok(
      events.some((event) => event.name === name && event.from === "client") ||
        events.some((event) => event.name === name && event.to === "client"),
      `${name} in the trace`,
    );
  }
});

test("the carrier hangs up a call of the phone's", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.sipPhone({ toneHz: PHONE_HZ });
  phone.dial("+491000");
  await phone.event("CALL_ESTABLISHED");
  await until("the phone hears the carrier", () => near(phone.heardHz(), CARRIER_HZ));
  carrier.calls[0].hangup();
  await phone.event("CALL_CLOSED");
});

for (const [how, target] of [
  ["by name", "bob"],
  ["by number", BOB],
]) {
  test(`a phone calls a user ${how}: the browser rings, both hear each other, the browser hangs up`, async () => {
    const phone = await world.sipPhone({ toneHz: PHONE_HZ });
    const known = await callIds(bob);
    phone.dial(target);
    const id = await ringing(bob, known);
    assert.equal((await bob.look(id)).remoteNumber, ALICE);
    await phone.event("CALL_RINGING");
    await bob.ask("answer", id);
    await bob.untilState(id, "active");
    await phone.event("CALL_ESTABLISHED");
    await until("the phone hears the browser", () => near(phone.heardHz(), BROWSER_HZ));
    await bob.untilHears(id, PHONE_HZ);
    await bob.ask("hangup", id);
    await phone.event("CALL_CLOSED");
  });
}

test("a phone that gives up stops the browser's ringing", async () => {
  const phone = await world.sipPhone({ toneHz: PHONE_HZ });
  const known = await callIds(bob);
  phone.dial("bob");
  const id = await ringing(bob, known);
  await phone.event("CALL_RINGING");
  phone.hangup();
  await bob.untilEnded(id);
});

test("a phone's made-up dialog reaches no carrier, and what belongs to a real call of it does", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.rawPhone();
  assert.equal((await phone.register(PHONE_PASSWORD)).status, 200);
  const unproven = () => world.offhook.counter("offhook_sip_proxy_refused", 'reason="unproven"');
  const before = await unproven();
  const atCarrier = `sip:491000@127.0.0.1:${carrier.port}`;
  const route = `Route: <sip:127.0.0.1:${world.ports.proxy};lr>`;
  const madeUp = { tag: "made-up", lines: [route] };
  // An ACK meets silence; the answers to what follows it show that it was looked at.
  phone.send("ACK", atCarrier, madeUp);
  for (const method of ["INVITE", "REFER", "UPDATE", "MESSAGE", "BYE"]) {
    assert.equal((await phone.answer(phone.send(method, atCarrier, madeUp))).status, 481, method);
  }
  assert.equal(await unproven(), before + 6);

  // This carrier would have taken the INVITE for a new call.
  assert.deepEqual(
    carrier.received.filter(({ raw }) => raw.includes("tag=made-up")),
    [],
  );

  const callId = randomUUID();
  const dialled = `sip:+491000@127.0.0.1:${world.ports.proxy}`;
  const ok = await phone.prove("INVITE", dialled, PHONE_PASSWORD, { callId });
  assert.equal(ok.status, 200);
  const [, tag] = /;tag=(.*)$/.exec(header(ok, "to"));
  const inCall = { to: dialled, tag, callId, lines: [`Route: ${header(ok, "record-route")}`] };
  const target = uriOf(header(ok, "contact"));
  phone.send("ACK", target, { ...inCall, cseq: 2 });
  const [call] = carrier.calls;
  await until("the ACK arrives", () => call.acknowledged);
  const otherCall = { ...inCall, callId: randomUUID(), cseq: 3 };
  assert.equal((await phone.answer(phone.send("INVITE", atCarrier, otherCall))).status, 481);
  assert.equal((await phone.answer(phone.send("BYE", target, { ...inCall, cseq: 3 }))).status, 200);
  assert.equal(call.endedBy, "bye");
  assert.equal(carrier.calls.length, 1);
});

test("a phone calls another user's phone", async () => {
  await bob.close();
  await world.untilGone("bob");
  const mine = await world.sipPhone({ toneHz: PHONE_HZ });
  const theirs = await world.sipPhone({ user: "bob", toneHz: OTHER_PHONE_HZ });
  mine.dial("bob");
  await theirs.event("CALL_INCOMING");
  theirs.answer();
  await mine.event("CALL_ESTABLISHED");
  await until("mine hears theirs", () => near(mine.heardHz(), OTHER_PHONE_HZ));
  await until("theirs hears mine", () => near(theirs.heardHz(), PHONE_HZ));
  theirs.hangup();
  await mine.event("CALL_CLOSED");
});
