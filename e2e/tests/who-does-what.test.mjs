// Who may do what: eight actions, each by the client and by the far side, and what the other side sees of it. R64, R65, R70.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CALLER_NUMBER } from "../lib/caller.mjs";
import { directionOf } from "../lib/carrier.mjs";
import { header } from "../lib/sip.mjs";
import { bothHear, callIds, CARRIER_HZ, carrierHears, hangUp, ringing, untilUnheard } from "../lib/talk.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
/** Less than this (root mean square of 16-bit samples) is silence. */
const SILENCE_RMS = 60;
/** What the carrier judges by, half a second. */
const HEARD_PACKETS = 25;
/** What is said too much comes within this time. */
const WATCH_MS = 300;

/** In this order: what the first of them make is answered, held, and ended by the others. */
const MATRIX = [
  ["R70: make by the client: the carrier is called, once, and the browser learns that it rings", clientMakes],
  ["R70: make by the far side: it rings in the browser, and the caller is told so, no more", farSideMakes],
  ["R70: answer by the client: one 200 at the carrier, and both hear each other", clientAnswers],
  ["R70: answer by the far side: the browser's call is active, and both hear each other", farSideAnswers],
  ["R70: reject by the client: 487 at the carrier, and nothing else", clientRejects],
  ["R70: reject by the far side: the app sees why, and we say no more", farSideRejects],
  ["R70: hold by the client: one re-INVITE, sendonly, and neither hears the other", clientHolds],
  ["R70: resume by the client: one re-INVITE, sendrecv, and both hear each other", clientResumes],
  ["R70: hold by the far side: answered recvonly and told, not taken as ours", farSideHolds],
  ["R70: resume by the far side: answered sendrecv and told, and both hear each other", farSideResumes],
  ["R70: DTMF by the client: the carrier has the digits, once, and no message", clientSendsDigits],
  ["R70: DTMF by the far side: the browser has the digit, once, and none goes back", farSideSendsDigits],
  ["R70: mute by the client: silence at the carrier, and nobody is told", clientMutes],
  ["R70: mute by the far side: silence in the browser, and nobody is told", farSideMutes],
  ["R70: end by the client: one BYE at the carrier, and its other call goes on", clientEnds],
  ["R70: end by the far side: the app sees why, and no BYE goes back", farSideEnds],
];

let world;
let phone;
let carrier;
/** The client's call and the far side's, `{ id, call }` each: `id` in the browser, `call` at the carrier. */
let ours;
let theirs;

before(async () => {
  world = await World.open();
  [phone, carrier] = await Promise.all([
    world.loggedIn(),
    world.carrier({ toneHz: CARRIER_HZ, script: (call) => call.ring() }),
  ]);
});
after(() => world.close());

for (const [name, act] of MATRIX) test(name, () => act());

async function clientMakes() {
  const id = await phone.call("+491000");
  await until("told that it rings", async () => (await phone.told("ringing", id)).length > 0);
  await phone.untilState(id, "trying");
  const [call] = carrier.calls;
  ours = { id, call };
  await weSayOnly(ours, ["invite"], ["INVITE"]);
  assert.equal(call.number, "491000");
  assert.equal(directionOf(call.invite.body), "sendrecv");
  assert.deepEqual(await phone.states(id), ["new", "requesting", "trying"]);
  assert.equal((await phone.look(id)).direction, "outbound");
}

async function farSideMakes() {
  theirs = await ring();
  const { id, call } = theirs;
  const { direction, remoteNumber } = await phone.look(id);
  assert.deepEqual([direction, remoteNumber], ["inbound", CALLER_NUMBER]);
  assert.equal((await phone.told("invite", id)).length, 1);
  assert.deepEqual(await phone.states(id), ["new", "ringing"]);
  assert.ok(!call.statuses.some((status) => status >= 200), call.statuses.join());
  await weSayOnly(theirs, [], []);
  assert.equal(await phone.state(ours.id), "trying");
}

async function clientAnswers() {
  const { id, call } = theirs;
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  const { body } = await call.untilStatus(200);
  assert.equal(directionOf(body), "sendrecv");
  await bothHear(phone, id, call);
  assert.deepEqual(finals(call), [200]);
  await weSayOnly(theirs, ["answer"], []);
}

async function farSideAnswers() {
  const { id, call } = ours;
  call.answer();
  await phone.untilState(id, "active");
  await bothHear(phone, id, call);
  await until("the answer is acknowledged", () => call.acknowledged);
  assert.equal((await phone.told("answer", id)).length, 1);
  await weSayOnly(ours, ["invite"], ["INVITE"]);
}

async function clientRejects() {
  const rejected = await ring();
  const { id, call } = rejected;
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await call.untilStatus(487);
  await weSayOnly(rejected, ["bye"], []);
  assert.deepEqual(finals(call), [487]);
}

async function farSideRejects() {
  const earlier = (await phone.records()).errors.length;
  carrier.set({ script: (call) => call.reject(603, "Decline") });
  const id = await phone.call("+491000");
  const { cause, causeCode, sipCode, sipReason } = await phone.untilEnded(id);
  assert.deepEqual([cause, causeCode, sipCode, sipReason], ["CALL_REJECTED", 21, 603, "Decline"]);
  const call = carrier.calls.at(-1);
  await until("the refusal is acknowledged", () => call.acknowledged);
  await weSayOnly({ id, call }, ["invite"], ["INVITE"]);
  assert.equal((await phone.records()).errors.length, earlier);
}

async function clientHolds() {
  const { id, call } = ours;
  await phone.ask("hold", id);
  assert.equal(await phone.state(id), "held");
  assert.deepEqual(
    call.reinvites.map(({ body }) => directionOf(body)),
    ["sendonly"],
  );
  await untilUnheard(call);
  await phone.untilSilent(id);
  assert.deepEqual(await phone.farHolds(id), [], "not the far side's hold");
}

async function clientResumes() {
  const { id, call } = ours;
  await phone.ask("unhold", id);
  assert.equal(await phone.state(id), "active");
  assert.deepEqual(
    call.reinvites.map(({ body }) => directionOf(body)),
    ["sendonly", "sendrecv"],
  );
  await bothHearNow(ours);
  assert.deepEqual(await phone.farHolds(id), []);
}

function farSideHolds() {
  const { id, call } = ours;
  return whileWeSayNothing(async () => {
    const { status, body } = await call.reinvite("sendonly");
    assert.deepEqual([status, directionOf(body)], [200, "recvonly"]);
    await until("the app is told", async () => (await phone.farHolds(id)).length > 0);
    await untilUnheard(call);
    await phone.untilHears(id, CARRIER_HZ);
    assert.deepEqual(await phone.farHolds(id), ["held"]);
  });
}

function farSideResumes() {
  const { id, call } = ours;
  return whileWeSayNothing(async () => {
    const { status, body } = await call.reinvite("sendrecv");
    assert.deepEqual([status, directionOf(body)], [200, "sendrecv"]);
    await until("the app is told", async () => (await phone.farHolds(id)).length > 1);
    await bothHearNow(ours);
    assert.deepEqual(await phone.farHolds(id), ["held", "active"]);
  });
}

async function clientSendsDigits() {
  const { id, call } = ours;
  const earlier = [requests(call), await phone.states(id)];
  await phone.ask("dtmf", id, "15#");
  await until("the digits at the carrier", () => call.rtp.digits.length >= 3);
  await bothHearNow(ours);
  assert.equal(call.rtp.digits, "15#");
  assert.deepEqual([requests(call), await phone.states(id)], earlier);
  assert.deepEqual(await phone.told("info", id), [], "none comes back");
}

function farSideSendsDigits() {
  const { id, call } = ours;
  const { digits } = call.rtp;
  return whileWeSayNothing(async () => {
    call.rtp.sendDigit("7");
    await until("the digit in the browser", async () => (await phone.told("info", id)).length > 0);
    await bothHearNow(ours);
    assert.deepEqual(
      (await phone.told("info", id)).map(({ dtmf }) => dtmf),
      ["7"],
    );
    assert.equal(call.rtp.digits, digits);
  });
}

function clientMutes() {
  const { id, call } = ours;
  return whileNobodySaysAnything(async () => {
    await phone.ask("mute", id);
    await until("silence at the carrier", () => call.rtp.heardLevel() < SILENCE_RMS);
    await phone.untilHears(id, CARRIER_HZ);
    await phone.ask("unmute", id);
    await carrierHearsNow(call);
  });
}

function farSideMutes() {
  const { id, call } = ours;
  return whileNobodySaysAnything(async () => {
    call.rtp.play(null);
    await phone.untilSilent(id);
    await carrierHearsNow(call);
    assert.equal((await phone.look(id)).muted, false);
    call.rtp.play(CARRIER_HZ);
    await phone.untilHears(id, CARRIER_HZ);
  });
}

async function clientEnds() {
  const { id, call } = ours;
  const asked = await requested(id);
  const sent = requests(call);
  await hangUp(phone, id, call);
  const { cause, causeCode } = await phone.look(id);
  assert.deepEqual([cause, causeCode], ["NORMAL_CLEARING", 16]);
  await weSayOnly(ours, [...asked, "bye"], [...sent, "BYE"]);
  assert.equal(await phone.state(theirs.id), "active");
  await bothHearNow(theirs);
}

async function farSideEnds() {
  const { id, call } = theirs;
  call.hangup();
  const { cause, causeCode } = await phone.untilEnded(id);
  assert.deepEqual([cause, causeCode], ["NORMAL_CLEARING", 16]);
  await until("our 200 to the BYE", () =>
    carrier.received.some((each) => each.status === 200 && each.method === "BYE" && isOf(call, each)),
  );
  assert.equal((await phone.told("bye", id)).length, 1);
  await weSayOnly(theirs, ["answer"], []);
}

/** The far side calls alice, until it rings on both sides. */
async function ring() {
  const known = await callIds(phone);
  const call = await carrier.dial(world.ports.proxy, ALICE);
  const id = await ringing(phone, known);
  await call.untilStatus(180);
  return { id, call };
}

/** Waits until the carrier hears the browser, by nothing that came before. */
async function carrierHearsNow(call) {
  const heard = call.rtp.packetsReceived + HEARD_PACKETS;
  await until("half a second of audio", () => call.rtp.packetsReceived >= heard);
  await carrierHears(call);
}

async function bothHearNow({ id, call }) {
  await carrierHearsNow(call);
  await bothHear(phone, id, call);
}

/** The client has `asked` for this in a call, and our side has `sent` these requests to the carrier; and no more comes. */
function weSayOnly({ id, call }, asked, sent) {
  const only = async () => {
    assert.deepEqual([await requested(id), requests(call)], [asked, sent]);
    return true;
  };
  return throughout("no more is said", only, WATCH_MS);
}

/** While this is done, our side neither asks anything of anybody nor changes the call's state. */
async function whileWeSayNothing(act) {
  const { id, call } = ours;
  const seen = async () => [await phone.states(id), await phone.requests("client"), requests(call)];
  const earlier = await seen();
  await act();
  assert.deepEqual(await seen(), earlier);
  assert.equal(await phone.state(id), "active");
}

/** The same, and no SIP message and no frame of the server's comes either. */
async function whileNobodySaysAnything(act) {
  const said = async () => [carrier.received.length, await phone.requests("server")];
  const earlier = await said();
  await whileWeSayNothing(act);
  assert.deepEqual(await said(), earlier);
}

/** Methods of the client's requests in a call, in order. */
async function requested(id) {
  return (await phone.requests("client", id)).map(({ method }) => method);
}

/** Methods of our side's requests in a call of the carrier's, in order; a retransmission is none. */
function requests(call) {
  const sent = carrier.received.filter((message) => message.status === undefined && isOf(call, message));
  const sequence = new Set(sent.map((message) => header(message, "cseq")));
  return [...sequence].map((each) => each.split(" ")[1]).filter((method) => method !== "ACK");
}

function isOf(call, message) {
  return header(message, "call-id") === call.sipCallId;
}

/** Final statuses that a caller has got; a retransmission is none. */
function finals(call) {
  return [...new Set(call.statuses.filter((status) => status >= 200))];
}
