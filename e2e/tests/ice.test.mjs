// Which way the browser's media takes: straight, or over a relay when nothing else gets out. R40.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { CARRIER_HZ, hangUp, talk } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call with a tone each way; gives the candidate pair that carries it, by type. */
async function pairOfCall(phone) {
  const { id, call } = await talk(phone, await world.carrier({ toneHz: CARRIER_HZ }));
  const pair = await phone.ask("candidatePair", id);
  await hangUp(phone, id, call);
  return pair;
}

test("R40: host candidates carry a call, and the gateway offers one of its own", async () => {
  const phone = await world.loggedIn();
  const pair = await pairOfCall(phone);
  assert.equal(pair.remote, "host");
  assert.notEqual(pair.local, "relay");
  await phone.close();
});

test("R40: with nothing but a relay (coturn) both ends hear each other all the same", async () => {
  const turn = await world.turn();
  const phone = await world.loggedIn("alice", { iceServers: turn.iceServers, forceRelayCandidate: true });
  const pair = await pairOfCall(phone);
  assert.deepEqual(pair, { local: "relay", remote: "host" });
  await until("coturn's log has the allocation", () => turn.allocations() >= 1);
  await phone.close();
});
