// A number and its targets: who rings next when one is busy, absent, silent or declines, and what the caller hears. R59.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { callIds as known, hangUp, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const TEAM = "+15550900";
const STERN = "+15550901";
/** Rings for a short time only, which is still enough to answer in. */
const HASTY = "+15550902";
const HASTY_TIMEOUT_S = 8;

let world;
let alice;
let bob;
before(async () => {
  const number = (name, next, ringTimeoutS = 60) => [
    "[[number]]",
    `number = "${name}"`,
    'targets = ["user:alice", "user:bob"]',
    `ring_timeout_s = ${ringTimeoutS}`,
    `next_on = ${JSON.stringify(next)}`,
  ];
  world = await World.open({
    vsp: { reject_code: 486 },
    users: { alice: { calls_max: 1 } },
    sections: [
      ...number(TEAM, ["busy", "no-answer", "offline", "rejected"]),
      ...number(STERN, ["offline"]),
      ...number(HASTY, ["no-answer"], HASTY_TIMEOUT_S),
    ],
  });
  alice = await world.loggedIn("alice");
  bob = await world.loggedIn("bob");
});
afterEach(() => world.closeCarriers());
after(() => world.close());

async function dial(number) {
  const carrier = await world.carrier();
  return { carrier, call: await carrier.dial(world.ports.proxy, number) };
}

async function bobTakes(call, before) {
  const id = await ringing(bob, before);
  await bob.ask("answer", id);
  await bob.untilState(id, "active");
  await call.untilStatus(200);
  call.hangup();
  await bob.untilEnded(id);
}

function final(call) {
  return until("a final answer", () => call.responses.find((each) => each.status >= 300));
}

describe("the next target rings", () => {
  test("when the first declines", async () => {
    const [hers, his] = [await known(alice), await known(bob)];
    const { call } = await dial(TEAM);
    const id = await ringing(alice, hers);
    await alice.ask("hangup", id);
    await alice.untilEnded(id);
    await bobTakes(call, his);
  });

  test("when the first does not answer, which then rings no more", async () => {
    const [hers, his] = [await known(alice), await known(bob)];
    const { call } = await dial(HASTY);
    const id = await ringing(alice, hers);
    await Promise.all([alice.untilEnded(id), bobTakes(call, his)]);
  });

  test("when the first is in a call already", async () => {
    const his = await known(bob);
    const carrier = await world.carrier();
    const talk = await alice.call("+491000");
    await alice.untilState(talk, "active");
    const before = await known(alice);
    await bobTakes(await carrier.dial(world.ports.proxy, TEAM), his);
    assert.deepEqual(await known(alice), before, "she was not disturbed");
    await hangUp(alice, talk, carrier.calls[0]);
  });

  test("when the first has no client", async () => {
    const his = await known(bob);
    await alice.close();
    await world.untilGone("alice");
    const { call } = await dial(TEAM);
    await bobTakes(call, his);
    alice = await world.loggedIn("alice");
  });
});

describe("the caller hears", () => {
  test("486 from a user who is busy", async () => {
    const carrier = await world.carrier();
    const talk = await alice.call("+491000");
    await alice.untilState(talk, "active");
    const call = await carrier.dial(world.ports.proxy, ALICE);
    assert.equal((await final(call)).status, 486);
    await hangUp(alice, talk, carrier.calls[0]);
  });

  test("the configured 486 from a user who declines, and no other target rings where that is not wanted", async () => {
    const [hers, his] = [await known(alice), await known(bob)];
    const { call } = await dial(STERN);
    const id = await ringing(alice, hers);
    await alice.ask("hangup", id);
    assert.equal((await final(call)).status, 486);
    assert.deepEqual(await known(bob), his);
  });

  for (const sipCode of [487, 603]) {
    test(`${sipCode} where the app wants that for one call`, async () => {
      const hers = await known(alice);
      const { call } = await dial(ALICE);
      const id = await ringing(alice, hers);
      await alice.ask("hangup", id, { sipCode });
      assert.equal((await final(call)).status, sipCode);
      await alice.untilEnded(id);
    });
  }

  test("480 or 408 when the last target has not answered either", async () => {
    const [hers, his] = [await known(alice), await known(bob)];
    const { call } = await dial(HASTY);
    await ringing(alice, hers);
    const last = await ringing(bob, his);
    assert.ok([408, 480].includes((await final(call)).status));
    await bob.untilEnded(last);
  });
});

for (const code of [487, 603]) {
  test(`R59: with reject_code ${code} a declined call is ${code}`, async () => {
    const other = await World.open({ vsp: { reject_code: code } });
    try {
      const phone = await other.loggedIn("alice");
      const carrier = await other.carrier();
      const call = await carrier.dial(other.ports.proxy, ALICE);
      const id = await ringing(phone, new Set());
      await phone.ask("hangup", id);
      assert.equal((await final(call)).status, code);
    } finally {
      await other.close();
    }
  });
}
