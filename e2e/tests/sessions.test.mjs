// Calls outlive their socket. R50, M27, C3, C9, C18.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { openCuttable } from "../lib/cuttable.mjs";
import { PATIENT_GATEWAY, withoutPause } from "../lib/pauses.mjs";
import { browserSdp, RawClient } from "../lib/raw.mjs";
import { bothHear, CARRIER_HZ, hangUp, talk } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const CUTS = 10;

let world;
let network;
before(async () => {
  world = await World.open({ gateway: PATIENT_GATEWAY });
  network = await openCuttable(world.ports.http);
});
afterEach(() => world.closeCarriers());
after(async () => {
  await network?.close();
  await world.close();
});

/** Cuts the socket and waits until the SDK is back by itself. */
function cut(phone) {
  return phone.readyAfter(() => network.cut());
}

test(`R50, M27: cut off ${CUTS} times in a call: the audio goes on, and the call is as good as before`, async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn("alice", { host: network.host });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const [call] = carrier.calls;
  await bothHear(phone, id, call);
  const witness = await world.witness();
  let cuts = 0;
  for (let time = 0; time < CUTS; time += 1) {
    await withoutPause(call, witness, async () => {
      await cut(phone);
      cuts += 1;
    });
    assert.equal(await phone.state(id), "active");
    await bothHear(phone, id, call);
  }
  assert.equal((await phone.records()).sockets, cuts + 1);
  await phone.ask("dtmf", id, "7");
  await until("the digit at the carrier", () => call.rtp.digits === "7");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
  assert.equal(carrier.calls.length, 1);
  await phone.close();
});

test("C17: cut off while it rings: the answer comes over the new socket", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ, script: (call) => call.ring() });
  const phone = await world.loggedIn("alice", { host: network.host });
  const id = await phone.call("+491000");
  await until("it rings", () => carrier.calls.length > 0);
  await cut(phone);
  carrier.calls[0].answer();
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("C17: cut off while a call rings in the browser: it is answered over the new socket, and rang once", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn("alice", { host: network.host });
  const call = await carrier.dial(world.ports.proxy, ALICE);
  const ringing = async () => (await phone.records()).states.filter((each) => each.state === "ringing");
  const [{ id }] = await until("it rings", async () => ((await ringing()).length > 0 ? ringing() : null));
  await cut(phone);
  assert.equal((await ringing()).length, 1);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  assert.deepEqual(
    call.statuses.filter((status) => status > 100),
    [180, 200],
  );
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
  await phone.close();
});

test("C18: the far end hangs up while the client is away: the client hears of it when it is back", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn("alice", { host: network.host });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.readyAfter(() => {
    network.cut();
    carrier.calls[0].hangup();
  });
  await phone.untilEnded(id);
  await phone.close();
});

test("C18: an invite whose result was lost with the socket is known on the next one, and so is its answer", async () => {
  const carrier = await world.carrier({ script: (call) => call.ring() });
  const lost = await RawClient.open(network.host);
  const sessid = await lost.logIn("alice", USERS.alice);
  // What the server says from now on is never read.
  lost.socket.pause();
  const callID = crypto.randomUUID();
  const params = {
    sdp: browserSdp("actpass"),
    dialogParams: { callID, destination_number: "+491000" },
  };
  lost.sendRaw(JSON.stringify({ jsonrpc: "2.0", id: "i", method: "telnyx_rtc.invite", params }));
  await until("it rings", () => carrier.calls.length === 1);
  network.cut();
  await world.untilAway("alice");
  const client = await RawClient.open(network.host);
  const login = { login: "alice", passwd: USERS.alice, reconnection: true, sessid };
  assert.equal((await client.request("login", login)).result.sessid, sessid);
  const ready = await client.event("telnyx_rtc.clientReady");
  assert.deepEqual(ready.params.reattached_sessions, [callID]);
  carrier.calls[0].answer();
  await client.event("telnyx_rtc.answer", (answer) => answer.callID === callID);
  assert.ok((await client.request("telnyx_rtc.bye", { dialogParams: { callID } })).result);
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
  client.close();
});

// The public SDK keeps a hang-up without a socket to itself, and takes an attach for the call of a page that was reloaded:
// the server cannot tell these apart. Our own SDK says what it has hung up when it is back.
test("C18: hung up while offline: the call is there again with the public SDK, ended with ours, and orphaned with none", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const own = await world.ownPhone();
  await own.logIn("bob", { host: network.host });
  const ownId = await own.call("+491000");
  await own.untilState(ownId, "active");
  const phone = await world.loggedIn("alice", { host: network.host });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  const [ownCall, call] = carrier.calls;

  network.down();
  await own.hangup(ownId);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  assert.deepEqual([ownCall.endedBy, call.endedBy], [null, null], "nobody could be told");
  network.up();
  await until("BYE at the carrier", () => ownCall.endedBy === "bye");
  await until("it is there again", async () => (await phone.states(id)).at(-1) === "active");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
  await Promise.all([own.close(), phone.close()]);
});

test("C5: the sticky id leads back to the session; that of another node, or the wish for another one, starts afresh", async () => {
  await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const login = (await phone.frames()).find(({ frame }) => frame.result?.message === "logged in");
  const { sessid } = login.frame.result;
  const sticky = encodeURIComponent(login.frame.voice_sdk_id);
  await phone.close();
  await world.untilAway("alice");
  const comeBack = async (query) => {
    const client = await RawClient.open(`${world.host}/?${query}`);
    const params = { login: "alice", passwd: USERS.alice, reconnection: true };
    const answer = await client.request("login", params);
    return { client, sessid: answer.result.sessid };
  };
  const others = [
    await comeBack("voice_sdk_id=vsdk-of%2Fanother-node"),
    await comeBack("voice_sdk_id=vsdk-of%2Fanother-node&skip_last_voice_sdk_id=true"),
  ];
  for (const other of others) assert.notEqual(other.sessid, sessid);
  const back = await comeBack(`voice_sdk_id=${sticky}`);
  assert.equal(back.sessid, sessid);
  const ready = await back.client.event("telnyx_rtc.clientReady");
  assert.deepEqual(ready.params.reattached_sessions, [id]);
  await back.client.request("telnyx_rtc.bye", { dialogParams: { callID: id } });
  for (const { client } of [back, ...others]) client.close();
});

test("C9: a second tab with the same session id gets a session of its own, and the first keeps its calls", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const login = (await phone.frames()).find(({ frame }) => frame.result?.message === "logged in");
  const { sessid } = login.frame.result;
  const twin = await RawClient.open(`${world.host}/?voice_sdk_id=${login.frame.voice_sdk_id}`);
  const answer = await twin.request("login", {
    login: "alice",
    passwd: USERS.alice,
    reconnection: true,
    sessid,
  });
  assert.notEqual(answer.result.sessid, sessid);
  const ready = await twin.event("telnyx_rtc.clientReady");
  assert.deepEqual(ready.params.reattached_sessions ?? [], []);
  assert.equal(await phone.state(id), "active");
  assert.equal((await phone.records()).closes, 0);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
  twin.close();
  await phone.close();
});

test("C8: a client that loses its socket while its node drains comes back to its call; the node leaves when that is over", async () => {
  const node = await World.open({ drainS: 60, rtpPorts: "21000-21199" });
  const way = await openCuttable(node.ports.http);
  try {
    const carrier = await node.carrier({ toneHz: CARRIER_HZ });
    const phone = await node.loggedIn("alice", { host: way.host });
    const { id, call } = await talk(phone, carrier);
    process.kill(node.offhook.pid, "SIGTERM");
    await until("it drains", () => node.offhook.log.some((line) => /VSP drains/.test(line)));
    await phone.readyAfter(() => way.cut());
    assert.equal(await phone.state(id), "active");
    await bothHear(phone, id, call);
    await hangUp(phone, id, call);
    await until("the node has left", () => !node.offhook.running);
    await phone.close();
  } finally {
    await way.close();
    await node.close();
  }
});
