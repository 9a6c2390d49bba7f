// After many calls of every kind nothing is left: no call, dialog, transaction, port or file, and no growing memory of them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openFiles, openUdpPorts } from "../lib/system.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CALLS = 200;
const AT_ONCE = 10;
/** Timers of RFC 3261 that hold a finished transaction (32 s) end in this time. */
const SETTLE_MS = 120_000;
/** These say how the process does, not how many calls it holds. */
const NOT_COUNTS = /memory|bytes|uptime|seconds|ready|info|build|cpu|load/;

let world;
before(async () => {
  world = await World.open();
});
after(() => world.close());

/** How a call of this number ends, seen from the carrier. */
const SCRIPTS = [
  (call) => call.reject(486, "Busy Here"),
  (call) => call.ring(),
  (call) => {
    call.ring();
    call.answer();
  },
  async (call) => {
    call.ring();
    call.answer();
    await until("ACK", () => call.acknowledged);
    call.hangup();
  },
];

async function place(phone, kind) {
  const id = await phone.call(`+49100${kind}`);
  if (kind === 1) {
    await until("it rings", async () => (await phone.look(id)).ids?.telnyxSessionId);
    await phone.ask("hangup", id);
  }
  if (kind === 2) {
    await phone.untilState(id, "active");
    await phone.ask("hangup", id);
  }
  await phone.untilEnded(id);
}

test(`${CALLS} calls of four kinds leave nothing behind`, async () => {
  const carrier = await world.carrier({ script: (call) => SCRIPTS[Number(call.number.at(-1))](call) });
  const phone = await world.loggedIn();
  const first = Promise.all(SCRIPTS.map((_, kind) => place(phone, kind)));
  await until("the gauges see the calls", async () => (await busy()).length > 0);
  await first;
  const { pid } = world.offhook;
  await until("the first calls have settled", async () => (await busy()).length === 0, SETTLE_MS);
  const before = {
    files: openFiles(pid),
    udp: openUdpPorts(pid).sort(),
    gauges: await world.offhook.gauges(),
  };

  for (let placed = 0; placed < CALLS; placed += AT_ONCE) {
    const kinds = Array.from({ length: AT_ONCE }, (_, i) => (placed + i) % SCRIPTS.length);
    await Promise.all(kinds.map((kind) => place(phone, kind)));
  }
  assert.equal(carrier.calls.length, CALLS + SCRIPTS.length);

  await until(
    "everything is released",
    async () => (await grown(before.gauges)).length === 0,
    SETTLE_MS,
  ).catch(async () => assert.deepEqual(await grown(before.gauges), []));
  await until("every port is free again", () => openUdpPorts(pid).length <= before.udp.length);
  assert.deepEqual(openUdpPorts(pid).sort(), before.udp);
  // A connection of ours to the admin port may just be closing.
  await until(`at most ${before.files} open files`, () => openFiles(pid) <= before.files);
  assert.deepEqual((await phone.records()).errors, []);
});

/** Gauges that count calls and are not zero. */
async function busy() {
  const gauges = await world.offhook.gauges();
  return Object.entries(gauges).filter(
    ([name, value]) => /calls|legs|transactions|ports/.test(name) && value > 0,
  );
}

/** Gauges that are higher than they were. */
async function grown(before) {
  const gauges = await world.offhook.gauges();
  return Object.entries(gauges).filter(
    ([name, value]) => !NOT_COUNTS.test(name) && value > (before[name] ?? 0),
  );
}
