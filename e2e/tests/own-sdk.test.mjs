// Our own SDK where the network or the page fails it: a reload, a lost socket, a server that is gone. R51, C16, C19.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openCuttable } from "../lib/cuttable.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const WINDOW_MS = 30_000;
const WINDOW_SHARE = 0.3;
const SESSION_NOT_REATTACHED = 48501;

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call that is up, with audio both ways: `{ id, call }`. */
async function talk(phone) {
  const carrier = await world.carrier({ toneHz: 440 });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await untilHears(phone, id);
  return { id, call: carrier.calls[0], carrier };
}

/** Packets go on to come in. */
async function untilHears(phone, id) {
  const received = async () => (await phone.ask("stats", id))?.packetsReceived ?? 0;
  const before = await received();
  await until("packets come in", async () => (await received()) > before + 10);
}

async function untilHeard(call) {
  const { packetsReceived } = call.rtp;
  await until("packets reach the carrier", () => call.rtp.packetsReceived > packetsReceived + 10);
}

async function hangUp(phone, id, call) {
  await phone.hangup(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
}

test("C16: a call that is up outlives the reload of its page, hold and all", async () => {
  const phone = await world.ownPhone();
  await phone.logIn("alice", { recoverCalls: true });
  const { id, call, carrier } = await talk(phone);
  await phone.reload();
  await world.untilAway("alice");
  await phone.logIn("alice", { recoverCalls: true });
  await phone.untilState(id, "active");
  assert.deepEqual(await phone.states(id), ["recovering", "active"]);
  await untilHears(phone, id);
  await untilHeard(call);
  await phone.ask("hold", id);

  await phone.reload();
  await world.untilAway("alice");
  await phone.logIn("alice", { recoverCalls: true });
  await phone.untilState(id, "held");
  await phone.ask("sendDigits", id, "5").catch(() => {});
  await hangUp(phone, id, call);
  assert.equal(carrier.calls.length, 1);
  await phone.close();
});

test("C16: a call that ended while the page was loaded anew is told as lost", async () => {
  const phone = await world.ownPhone();
  await phone.logIn("alice", { recoverCalls: true });
  const { call } = await talk(phone);
  await phone.reload();
  call.hangup();
  await until("the server has no call", async () => {
    const { sessions } = await world.offhook.admin("/sessions");
    return sessions.every(({ calls }) => calls.length === 0);
  });
  await phone.logIn("alice", { recoverCalls: true });
  const errors = () => phone.errors();
  await until("the app is told", async () =>
    (await errors()).some(({ code }) => code === SESSION_NOT_REATTACHED),
  );
  assert.deepEqual(await phone.ask("calls"), []);
  await phone.close();
});

test("C19: our SDK searches a new path in a call, and nobody notices", async () => {
  const phone = await world.ownPhone();
  await phone.logIn("alice");
  const { id, call } = await talk(phone);
  await phone.ask("restartMedia", id);
  const { events } = await until("the search is in the trace", async () => {
    const trace = await world.offhook.trace(id);
    return trace.events.some((event) => event.name === "result modify") && trace;
  });
  assert.ok(events.some((event) => event.name === "modify"));
  await untilHears(phone, id);
  await untilHeard(call);
  assert.deepEqual(await phone.states(id), ["requesting", "trying", "ringing", "active"]);
  await hangUp(phone, id, call);
  await phone.close();
});

test("R50, R51: a lost socket is back after a second, with the call", async () => {
  const network = await openCuttable(world.ports.http);
  const phone = await world.ownPhone();
  await phone.logIn("alice", { host: network.host });
  const { id, call } = await talk(phone);
  network.cut();
  await until("reconnected", async () => (await phone.connection()).includes("reconnected"));
  assert.deepEqual((await phone.connection())[0], { attempt: 1, delayMs: 1_000 });
  await untilHears(phone, id);
  await untilHeard(call);
  await hangUp(phone, id, call);
  await phone.close();
  await network.close();
});

test("R51: half a minute without a server is one `disconnected`, and the SDK comes back all the same", async () => {
  const network = await openCuttable(world.ports.http);
  const phone = await world.ownPhone();
  await phone.logIn("alice", { host: network.host });
  const from = Date.now();
  await network.close();
  await until(
    "disconnected",
    async () => (await phone.connection()).some((each) => typeof each === "string"),
    4 * WINDOW_MS,
  );
  const tookMs = Date.now() - from;
  assert.ok(tookMs >= WINDOW_MS * (1 - WINDOW_SHARE) && tookMs <= 2 * WINDOW_MS, `${tookMs} ms`);
  const told = await phone.connection();
  const tries = told.filter((each) => typeof each !== "string");
  assert.deepEqual(
    tries.slice(0, 5).map(({ attempt }) => attempt),
    [1, 2, 3, 4, 5],
  );
  assert.equal(tries[0].delayMs, 1_000);
  for (const [at, even] of [2_000, 4_000, 8_000, 15_000].entries())
    assert.ok(Math.abs(tries[at + 1].delayMs - even) <= even * 0.25, JSON.stringify(tries));
  await throughout(
    "it is said once",
    async () => (await phone.connection()).filter((each) => typeof each === "string").length === 1,
    1_000,
  );
  await phone.close();
});
