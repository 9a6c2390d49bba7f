// The client holds and resumes; who is told what, and who hears what. R61, R62, M19.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { directionOf } from "../lib/carrier.mjs";
import {
  CARRIER_HZ,
  carrierHears,
  carrierHearsOnly,
  hangUp,
  talk as talkOver,
  untilUnheard,
} from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const TIMES = 10;

let world;
let phone;
before(async () => {
  world = await World.open();
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call with a tone each way. */
async function talk(options = {}) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ, ...options });
  return { ...(await talkOver(phone, carrier)), carrier };
}

test(`M19, R61, R62: ${TIMES} times held (sendonly) and resumed (sendrecv), with audio to match`, async () => {
  const { id, call } = await talk();
  for (let time = 0; time < TIMES; time += 1) {
    await phone.ask("hold", id);
    assert.equal(await phone.state(id), "held");
    assert.equal(directionOf(call.reinvites.at(-1).body), "sendonly");
    await untilUnheard(call);
    await phone.ask("unhold", id);
    assert.equal(await phone.state(id), "active");
    assert.equal(directionOf(call.reinvites.at(-1).body), "sendrecv");
    await carrierHears(call);
  }
  assert.equal(call.reinvites.length, 2 * TIMES, "one re-INVITE for each change");
  await phone.untilHears(id, CARRIER_HZ);
  await hangUp(phone, id, call);
});

test("M19: toggleHold goes there and back", async () => {
  const { id, call } = await talk();
  await phone.ask("toggleHold", id);
  assert.equal(await phone.state(id), "held");
  await phone.ask("toggleHold", id);
  assert.equal(await phone.state(id), "active");
  await carrierHears(call);
  await hangUp(phone, id, call);
});

test("R61: a hold that the far end refuses is no hold: the state stays, and both go on talking", async () => {
  const { id, call, carrier } = await talk({ reinvite: [488, "Not Acceptable Here"] });
  const before = (await phone.records()).errors.length;
  assert.equal(await phone.ask("hold", id), false);
  assert.equal(await phone.state(id), "active");
  const { errors } = await phone.records();
  assert.deepEqual(
    errors.slice(before).map((error) => error.code),
    [44001],
  );
  await carrierHearsOnly(call, 700);
  carrier.set({ reinvite: null });
  await phone.ask("hold", id);
  assert.equal(await phone.state(id), "held");
  await hangUp(phone, id, call);
});

test("R61: a hold that crosses an offer of the far end is made anew after that", async () => {
  const { id, call, carrier } = await talk({ reinvite: [491, "Request Pending"] });
  const held = phone.ask("hold", id);
  await until("the hold gets 491", () => call.reinvites.length > 0);
  carrier.set({ reinvite: null });
  assert.equal((await call.reinvite("sendrecv")).status, 200);
  assert.notEqual(await held, false);
  assert.equal(await phone.state(id), "held");
  assert.equal(directionOf(call.reinvites.at(-1).body), "sendonly");
  await untilUnheard(call);
  await hangUp(phone, id, call);
});

test("R61: what is not answered cannot be held", async () => {
  const carrier = await world.carrier({ script: (call) => call.ring() });
  const id = await phone.call("+491000");
  await until("it rings", async () => carrier.calls.length > 0 && (await phone.state(id)) === "trying");
  await phone.ask("hold", id);
  assert.notEqual(await phone.state(id), "held");
  assert.equal(carrier.calls[0].reinvites.length, 0);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});

test("a call that is held is hung up like any other", async () => {
  const { id, call } = await talk();
  await phone.ask("hold", id);
  await hangUp(phone, id, call);
});
