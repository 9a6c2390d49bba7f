// Who sends and who listens: the four directions of an SDP, as packets at the carrier and as sound in the browser.
// R42, R61, R62, R70.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { directionOf, mirrored } from "../lib/carrier.mjs";
import { BROWSER_HZ, bothHear, CARRIER_HZ, carrierHears, hangUp, talk as talkOver } from "../lib/talk.mjs";
import { lasting, until } from "../lib/wait.mjs";
import { wav } from "../lib/tone.mjs";
import { World } from "../lib/world.mjs";

const HOLD_HZ = 1_200;
/** Packets that were under way when the direction changed have come by then. */
const SETTLED_PACKETS = 5;
const WATCH_MS = 500;
const WATCH_PACKETS = WATCH_MS / 20;

let world;
let phone;
before(async () => {
  world = await World.open({
    gateway: { "sounds.hold.file": "@/hold.wav" },
    files: { "hold.wav": wav(HOLD_HZ, 1) },
  });
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call with a tone each way. */
async function talk(options = {}) {
  return talkOver(phone, await world.carrier({ toneHz: CARRIER_HZ, ...options }));
}

/** The browser is sent audio all the time, whatever the far end does: packets come, and nothing is to be heard in them. */
async function browserHearsNothing(id) {
  // What is still under way may be heard after a first pause.
  await lasting("silence", async () => (await phone.ask("heardHz", id)) === null, WATCH_MS);
  const { packetsReceived: before } = await phone.ask("stats", id);
  await until("packets of silence", async () => {
    assert.equal(await phone.ask("heardHz", id), null);
    return (await phone.ask("stats", id)).packetsReceived - before > WATCH_PACKETS;
  });
}

/** Not one packet reaches the carrier, of any kind, while the browser goes on sending. */
async function carrierGetsNothing(id, call) {
  const { packetsSent: before } = await phone.ask("stats", id);
  const sent = async () => (await phone.ask("stats", id)).packetsSent - before;
  await until("the browser goes on sending", async () => (await sent()) > SETTLED_PACKETS);
  const { anyReceived: last } = call.rtp;
  await until("the browser goes on sending", async () => {
    assert.equal(call.rtp.anyReceived, last, "no packet at the carrier");
    return (await sent()) > SETTLED_PACKETS + WATCH_PACKETS;
  });
}

for (const codecs of [["PCMU"], ["PCMA", "PCMU"]]) {
  test(`R42: what the carrier says of itself, ${codecs[0]}: sendonly, recvonly, inactive, sendrecv`, async () => {
    const { id, call } = await talk({ codecs });
    for (const direction of ["sendonly", "recvonly", "inactive", "sendrecv"]) {
      const answer = await call.reinvite(direction);
      assert.equal(answer.status, 200, direction);
      assert.equal(directionOf(answer.body), mirrored(direction));
      if (["sendrecv", "recvonly"].includes(direction)) await carrierHears(call, BROWSER_HZ);
      else await carrierGetsNothing(id, call);
      if (["sendrecv", "sendonly"].includes(direction)) await phone.untilHears(id, CARRIER_HZ);
      else await browserHearsNothing(id);
      assert.equal(await phone.state(id), "active", "no matter of the application's");
    }
    assert.equal(call.reinvites.length, 0, "nothing of ours");
    await hangUp(phone, id, call);
  });
}

test("R42, R61, R62: the client's hold is sendonly: music to the carrier, nothing to the browser, until sendrecv", async () => {
  const { id, call } = await talk();
  await phone.ask("hold", id);
  assert.equal(directionOf(call.reinvites.at(-1).body), "sendonly");
  await carrierHears(call, HOLD_HZ);
  await browserHearsNothing(id);
  await phone.ask("unhold", id);
  assert.equal(directionOf(call.reinvites.at(-1).body), "sendrecv");
  await bothHear(phone, id, call);
  await hangUp(phone, id, call);
});

test("R42, R70: who is held stays so whatever it offers, and both on hold is inactive", async () => {
  const { id, call } = await talk();
  await phone.ask("hold", id);
  const answered = async (offered) => directionOf((await call.reinvite(offered)).body);
  assert.equal(await answered("sendrecv"), "sendonly", "a refresh is no resume");
  await carrierHears(call, HOLD_HZ);
  await browserHearsNothing(id);

  assert.equal(await answered("sendonly"), "inactive");
  await carrierGetsNothing(id, call);
  await browserHearsNothing(id);

  await phone.ask("unhold", id);
  assert.equal(await phone.state(id), "active");
  await phone.untilHears(id, CARRIER_HZ);
  await carrierGetsNothing(id, call);

  assert.equal(await answered("sendrecv"), "sendrecv");
  await bothHear(phone, id, call);
  await hangUp(phone, id, call);
});
