// Older releases of the public SDK, unmodified: a whole day's work with each. Section 9.2 of the wire protocol.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { openCuttable } from "../lib/cuttable.mjs";
import { OLDER_RELEASES } from "../lib/pages.mjs";
import { near } from "../lib/phone.mjs";
import { BROWSER_HZ, CARRIER_HZ, callIds, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";

let world;
let network;
before(async () => {
  world = await World.open();
  network = await openCuttable(world.ports.http);
});
afterEach(() => world.closeCarriers());
after(async () => {
  await network?.close();
  await world.close();
});

/** From 2.9 on the SDK hangs up when its page is left. */
function keepsCallsWhenLeft(release) {
  return Number(release.split(".")[1]) < 9;
}

for (const release of OLDER_RELEASES) {
  describe(`${release}`, () => {
    let phone;
    before(async () => {
      phone = await world.phone(release);
      await phone.logIn("alice", USERS.alice, { host: network.host });
    });
    after(() => phone.close());

    test("calls out: audio both ways, digits, hold, hang-up", () => outbound(phone));
    test("is called: audio both ways, and the caller hangs up", () => inbound(phone));
    test("declines a call", () => decline(phone));
    test("calls somebody busy: cause and code reach the app", () => busy(phone));
    test("is cut off in a call, comes back, and goes on talking", () => cutOffInCall(phone));
    if (keepsCallsWhenLeft(release)) {
      test("is loaded anew in a call, and gets it back", () => reloadInCall(phone));
    }
    test("the app was told of no fault", async () => {
      const { errors } = await phone.records();
      assert.deepEqual(errors, []);
    });
  });
}

async function outbound(phone) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  const [call] = carrier.calls;
  const heard = () => near(call.rtp.heardHz(), BROWSER_HZ);
  await until("the carrier hears the browser", heard);
  await phone.ask("dtmf", id, "15#");
  await until("digits at the carrier", () => call.rtp.digits === "15#");
  await phone.ask("hold", id);
  await phone.untilState(id, "held");
  await until("the carrier no longer hears the browser", () => !heard());
  await phone.ask("unhold", id);
  await phone.untilState(id, "active");
  await until("the carrier hears the browser again", heard);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
}

async function dial(phone) {
  const known = await callIds(phone);
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const call = await carrier.dial(world.ports.proxy, ALICE);
  return { call, id: await ringing(phone, known) };
}

async function inbound(phone) {
  const { call, id } = await dial(phone);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await call.untilStatus(200);
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  await phone.untilHears(id, CARRIER_HZ);
  call.hangup();
  await phone.untilEnded(id);
}

async function decline(phone) {
  const { call, id } = await dial(phone);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await call.untilStatus(487);
}

async function busy(phone) {
  await world.carrier({ script: (call) => call.reject(486, "Busy Here") });
  const id = await phone.call("+491000");
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.cause, end.causeCode], ["USER_BUSY", 17]);
}

/** Cuts the socket and waits until the SDK has logged in on a new one. The oldest releases say `ready` only once. */
async function cut(phone) {
  const isLogin = ({ frame }) => frame.method === "telnyx_rtc.clientReady";
  const logins = async () => (await phone.frames()).filter(isLogin).length;
  const before = await logins();
  network.cut();
  await until("logged in again", async () => (await logins()) > before);
}

async function cutOffInCall(phone) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  await cut(phone);
  const [call] = carrier.calls;
  assert.equal(await phone.state(id), "active");
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  await phone.untilHears(id, CARRIER_HZ);
  await phone.ask("dtmf", id, "7");
  await until("the digit at the carrier", () => call.rtp.digits === "7");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
}

/** The session id that it has kept is enough. */
async function reloadInCall(phone) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.reload();
  await world.untilAway("alice");
  await phone.logIn("alice", USERS.alice, { host: network.host });
  await until("the call is up in the new page", async () =>
    (await phone.records()).states.some((each) => each.id === id && each.state === "active"),
  );
  const [call] = carrier.calls;
  const sent = call.rtp.packetsReceived;
  await until("the carrier is sent audio by the new page", () => call.rtp.packetsReceived > sent + 20);
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
}
