// Clients that come back without their media, or to another page: C1, C2, C4, C15, C16, C19, and what the far end hears.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { openCuttable } from "../lib/cuttable.mjs";
import { PATIENT_GATEWAY, withoutPause } from "../lib/pauses.mjs";
import { RawClient } from "../lib/raw.mjs";
import { bothHear, CARRIER_HZ, carrierHears, carrierHearsOnly, hangUp, ringing } from "../lib/talk.mjs";
import { wav } from "../lib/tone.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const AWAY_HZ = 900;
const HOLD_HZ = 1_200;
const ALICE = "+15550105";
const MOVES = 10;
/** How long the browser has to be silent until the announcement takes its place. */
const MEDIA_STOPPED_S = 2;

let world;
let network;
before(async () => {
  world = await World.open({
    vsp: {
      anonymous_targets: [{ type: "ai_assistant", id: "sales", destination: "+491555", caller: "anonymous" }],
    },
    gateway: {
      ...PATIENT_GATEWAY,
      "timeouts.media_stopped_s": MEDIA_STOPPED_S,
      "sounds.away.file": "@/away.wav",
      "sounds.hold.file": "@/hold.wav",
    },
    files: { "away.wav": wav(AWAY_HZ, 2), "hold.wav": wav(HOLD_HZ, 1) },
  });
  network = await openCuttable(world.ports.http);
});
afterEach(() => world.closeCarriers());
after(async () => {
  await network?.close();
  await world.close();
});

const PAGE = { hangupOnBeforeUnload: false };

/** A browser in a call, both ends heard. */
async function talk(options = PAGE) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn("alice", { host: network.host, ...options });
  const id = await phone.call("+491000", { remoteElement: "speaker" });
  await phone.untilState(id, "active");
  const [call] = carrier.calls;
  await bothHear(phone, id, call);
  return { carrier, phone, id, call };
}

/** The page logs in again, once the server knows that it was away. */
async function loggedInAgain(phone) {
  await world.untilAway("alice");
  await phone.logIn("alice", USERS.alice, { host: network.host, ...PAGE });
}

async function recovered(phone, id) {
  await until("the call is known again", async () => (await phone.states(id)).includes("active"));
  await phone.untilState(id, "active");
}

async function end({ phone, id, call }) {
  await hangUp(phone, id, call);
  await phone.close();
}

test("C16: a page that is loaded anew gets its call back, and the far end hears no gap", async () => {
  const { phone, id, call, carrier } = await talk();
  await withoutPause(call, await world.witness(), async () => {
    await phone.reload();
    await loggedInAgain(phone);
    await recovered(phone, id);
    await bothHear(phone, id, call);
  });
  assert.equal(call.rtp.lost, 0, "one stream");
  assert.equal((await phone.look(id)).recoveredCallId, id);
  assert.deepEqual([carrier.calls.length, call.reinvites.length], [1, 0], "no matter of the carrier's");
  await end({ phone, id, call });
});

test("while the page is away the far end hears the announcement, and the client as soon as it is back", async () => {
  const { phone, id, call } = await talk();
  await withoutPause(call, await world.witness(), async () => {
    const back = await phone.leave();
    await carrierHears(call, AWAY_HZ);
    await back();
    await loggedInAgain(phone);
    await recovered(phone, id);
    await bothHear(phone, id, call);
    await carrierHearsOnly(call, 700);
  });
  await end({ phone, id, call });
});

test("a client that has lost its socket alone is heard on: nothing is played over it", async () => {
  const { phone, id, call } = await talk();
  await phone.readyAfter(async () => {
    network.cut();
    await carrierHearsOnly(call, (MEDIA_STOPPED_S + 1) * 1_000);
  });
  await end({ phone, id, call });
});

test("C16: a call that ended while its page was away is told as lost (48501)", async () => {
  const { phone, call, id } = await talk();
  const back = await phone.leave();
  call.hangup();
  await back();
  await loggedInAgain(phone);
  await until("the app hears of it", async () =>
    (await phone.records()).errors.some((each) => each.code === 48_501 && each.callId === id),
  );
  await phone.close();
});

test("C15: media that the browser has lost is started anew with the socket, muted as it was", async () => {
  const { phone, id, call, carrier } = await talk();
  await phone.ask("mute", id);
  await phone.ask("closeMedia", id);
  await phone.readyAfter(() => network.cut());
  await until("recovered", async () => (await phone.states(id)).includes("recovering"));
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  const look = await phone.look(id);
  assert.deepEqual([look.recoveredCallId, look.muted], [id, true]);
  await until("silence at the carrier", () => call.rtp.heardLevel() < 60);
  await phone.ask("unmute", id);
  await carrierHears(call);
  assert.deepEqual([carrier.calls.length, call.reinvites.length], [1, 0]);
  await end({ phone, id, call });
});

test(`C15: ${MOVES} times to another network: media anew each time, without a gap at the carrier`, async () => {
  const { phone, id, call } = await talk();
  const witness = await world.witness();
  let moved = 0;
  const move = async () => {
    const { states } = await phone.records();
    moved += 1;
    await phone.readyAfter(() => network.moveTo(`127.0.0.${2 + (moved % 2)}`));
    await until("active again", async () => {
      const since = (await phone.records()).states.slice(states.length).map((each) => each.state);
      return since.includes("recovering") && since.at(-1) === "active";
    });
    await bothHear(phone, id, call);
  };
  for (let time = 0; time < MOVES; time += 1) await withoutPause(call, witness, move);
  assert.equal(call.rtp.lost, 0);
  await phone.ask("dtmf", id, "7");
  await until("the digit at the carrier", () => call.rtp.digits === "7");
  await end({ phone, id, call });
});

test("C15: a held call is still held after an attach, hears the music, and is resumed", async () => {
  const { phone, id, call } = await talk();
  await phone.ask("hold", id);
  await carrierHears(call, HOLD_HZ);
  await phone.readyAfter(() => network.moveTo("127.0.0.4"));
  await until("recovered", async () => (await phone.states(id)).includes("recovering"));
  await phone.untilState(id, "held");
  await carrierHearsOnly(call, 500, HOLD_HZ);
  await phone.ask("unhold", id);
  await phone.untilState(id, "active");
  await bothHear(phone, id, call);
  await end({ phone, id, call });
});

test("C19: an ICE restart of a call that came in", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn("alice", { host: network.host });
  const call = await carrier.dial(world.ports.proxy, ALICE);
  const id = await ringing(phone);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await bothHear(phone, id, call);
  const ufrag = async () => /^a=ice-ufrag:(\S+)/m.exec(await phone.ask("sdp", id, "remote"))[1];
  await withoutPause(call, await world.witness(), async () => {
    const before = await ufrag();
    await phone.ask("restartIce", id);
    await until("the answer is applied", async () => (await ufrag()) !== before);
    await until("connected", async () => (await phone.ask("connection", id)).state === "connected");
    await bothHear(phone, id, call);
  });
  await end({ phone, id, call });
});

test("C2: logging in again on the live socket disturbs nothing", async () => {
  const { phone, id, call } = await talk();
  const logins = async () =>
    (await phone.frames()).filter(({ frame }) => frame.result?.message === "logged in");
  const [first] = await logins();
  await phone.ask("login", { login: "alice", password: USERS.alice });
  await until("logged in again", async () => (await logins()).length === 2);
  assert.equal((await logins())[1].frame.result.sessid, first.frame.result.sessid);
  const readies = (await phone.frames()).filter(({ frame }) => frame.method === "telnyx_rtc.clientReady");
  assert.equal(readies.length, 1, "another one without the call in it would end the call");
  assert.equal(await phone.state(id), "active");
  await carrierHears(call);
  await end({ phone, id, call });
});

test("C4: a session is found by its sticky id alone", async () => {
  const { phone, id, call } = await talk();
  const sdp = await phone.ask("sdp", id, "local");
  await end({ phone, id, call });
  const first = await RawClient.open(network.host);
  const sessid = await first.logIn("bob", USERS.bob);
  const callID = crypto.randomUUID();
  const dialogParams = { callID, destination_number: "+491000" };
  await first.request("telnyx_rtc.invite", { sdp, dialogParams });
  await first.event("telnyx_rtc.answer", (params) => params.callID === callID);
  const sticky = first.frames.find((frame) => frame.voice_sdk_id).voice_sdk_id;
  first.close();
  await world.untilAway("bob");
  const again = await RawClient.open(`${network.host}/?voice_sdk_id=${sticky}`);
  const login = { login: "bob", passwd: USERS.bob, reconnection: true };
  const answer = await again.request("login", login);
  assert.equal(answer.result.sessid, sessid);
  const ready = await again.event("telnyx_rtc.clientReady");
  assert.deepEqual(ready.params.reattached_sessions, [callID]);
  await again.request("telnyx_rtc.bye", { dialogParams });
  again.close();
});

test("C1: a client without a name reaches what the operator offers it, and nothing else", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.phone();
  await phone.connect({ anonymous_login: { target_type: "ai_assistant", target_id: "sales" } });
  await until("telnyx.ready", async () => (await phone.records()).ready > 0);
  const id = await phone.call("", {});
  await phone.untilState(id, "active");
  assert.equal(carrier.calls[0].number, "491555");
  await bothHear(phone, id, carrier.calls[0]);
  await end({ phone, id, call: carrier.calls[0] });
  const other = await RawClient.open(world.host);
  const refused = await other.request("anonymous_login", { target_type: "ai_assistant", target_id: "else" });
  assert.equal(refused.error.code, -32_001);
  other.close();
});
