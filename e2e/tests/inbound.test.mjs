// Calls to users: from a carrier, and from one browser to another. D3, M15, M16, R30 to R36, R53, R56, R58, R59.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { CALLER_NUMBER } from "../lib/caller.mjs";
import { near } from "../lib/phone.mjs";
import { BROWSER_HZ, callIds as seen, CARRIER_HZ, ringing } from "../lib/talk.mjs";
import { msBetween } from "../lib/trace.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const AUDIO_AFTER_ANSWER_MS = 1_000;
const OTHERS_STOP_MS = 200;

let world;
let phone;
before(async () => {
  world = await World.open();
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** Calls alice; gives the carrier's call. */
async function dial(options = {}) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  return carrier.dial(world.ports.proxy, ALICE, options);
}

test("D3, M15, R30 to R36, R58: rings, 180 when the client has it, answered, both hear each other, hung up", async () => {
  const known = await seen(phone);
  const call = await dial();
  const id = await ringing(phone, known);
  await call.untilStatus(180);
  const look = await phone.look(id);
  assert.deepEqual(
    [look.direction, look.remoteNumber, look.remoteName],
    ["inbound", CALLER_NUMBER, "Caller"],
  );
  assert.ok(!call.statuses.includes(200));
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  const answered = await call.untilStatus(200);
  assert.match(answered.body, /^m=audio [1-9]/m, "R34: the answer is in the 200");
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  assert.ok(call.rtp.firstPacketAt - answered.at <= AUDIO_AFTER_ANSWER_MS, "R35");
  await phone.untilHears(id, CARRIER_HZ);
  assert.deepEqual(await phone.states(id), ["new", "ringing", "answering", "active"]);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
});

test("R59, M16: declined with 487", async () => {
  const known = await seen(phone);
  const call = await dial();
  const id = await ringing(phone, known);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await call.untilStatus(487);
});

test("M16: the caller gives up: the browser stops ringing", async () => {
  const known = await seen(phone);
  const call = await dial();
  const id = await ringing(phone, known);
  await call.untilStatus(180);
  call.cancel();
  await phone.untilEnded(id);
  await call.untilStatus(487);
});

test("M16, R33: nobody answers: both sides end after the ring timeout", async () => {
  const hasty = await World.open({ vsp: { ring_timeout_s: 3 } });
  try {
    const listener = await hasty.loggedIn();
    const carrier = await hasty.carrier();
    const call = await carrier.dial(hasty.ports.proxy, ALICE);
    const id = await ringing(listener);
    await listener.untilEnded(id);
    const last = await until("a final response", () => call.responses.find((each) => each.status >= 300));
    assert.ok([408, 480].includes(last.status), String(last.status));
  } finally {
    await hasty.close();
  }
});

test("the carrier hangs up an answered call", async () => {
  const known = await seen(phone);
  const call = await dial();
  const id = await ringing(phone, known);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await call.untilStatus(200);
  call.hangup();
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.cause, end.causeCode], ["NORMAL_CLEARING", 16]);
});

test("R53, R56: headers of the INVITE reach the app, those of the answer the carrier", async () => {
  const known = await seen(phone);
  const call = await dial({ headers: ["X-Caller-Name: John", "X-Tag: 1", "X-Tag: 2"] });
  const id = await ringing(phone, known);
  const { headers } = await phone.look(id);
  assert.deepEqual(headers, [
    { name: "X-Caller-Name", value: "John" },
    { name: "X-Tag", value: "1" },
    { name: "X-Tag", value: "2" },
  ]);
  await phone.ask("answer", id, { customHeaders: [{ name: "X-Desk", value: "3" }] });
  const answered = await call.untilStatus(200);
  assert.ok(answered.headers.some(({ name, value }) => name === "x-desk" && value === "3"));
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});

test("two browsers of one user ring; when one answers the other stops at once", async () => {
  const other = await world.loggedIn();
  const known = await seen(phone);
  const call = await dial();
  const [here, there] = await Promise.all([ringing(phone, known), ringing(other)]);
  await phone.ask("answer", here);
  await phone.untilState(here, "active");
  await other.untilEnded(there);
  const { events } = await world.offhook.trace(here);
  const afterMs = msBetween(events, ["client", "vsp", "answer"], ["vsp", "client", "bye"]);
  assert.ok(afterMs <= OTHERS_STOP_MS, `${afterMs} ms`);
  assert.equal(await phone.state(here), "active");
  const finals = () => call.statuses.filter((status) => status >= 200);
  await until("a final response", () => finals().length > 0);
  assert.deepEqual(finals(), [200]);
  await phone.ask("hangup", here);
  await phone.untilEnded(here);
  await other.close();
});

test("a user without a session is not reached: 480", async () => {
  const carrier = await world.carrier();
  const call = await carrier.dial(world.ports.proxy, "+15550103");
  const last = await until("a final response", () => call.responses.find((each) => each.status >= 300));
  assert.equal(last.status, 480);
});

test("browser to browser: alice calls bob, both hear each other, bob hangs up", async () => {
  const bob = await world.loggedIn("bob");
  const mine = await phone.call("bob");
  const theirs = await ringing(bob);
  await bob.ask("answer", theirs);
  await Promise.all([phone.untilState(mine, "active"), bob.untilState(theirs, "active")]);
  await Promise.all([phone.untilHears(mine, BROWSER_HZ), bob.untilHears(theirs, BROWSER_HZ)]);
  await bob.ask("hangup", theirs);
  await Promise.all([phone.untilEnded(mine), bob.untilEnded(theirs)]);
  await bob.close();
});
