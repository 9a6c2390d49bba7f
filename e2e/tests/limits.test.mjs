// How much of everything a client gets, what it may not make us say, and what it says twice or to nobody. C32, C33.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { RawClient } from "../lib/raw.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CALLS_MAX = 2;
const SESSIONS_MAX = 6;
const PER_SECOND = 20;
const BURST = 40;
const LOGIN_WAIT_MS = 30_000;

let world;
let offer;
before(async () => {
  world = await World.open({
    logFilter: "debug",
    limits: {
      calls_per_session_max: CALLS_MAX,
      sessions_per_user_max: SESSIONS_MAX,
      requests_per_second: PER_SECOND,
      requests_burst: BURST,
    },
  });
  await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  offer = await phone.ask("sdp", id, "local");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
  await world.closeCarriers();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

async function client(user = "alice") {
  const opened = await RawClient.open(world.host);
  await opened.logIn(user, USERS[user]);
  return opened;
}

function invite(from, callID, params = {}) {
  return from.request("telnyx_rtc.invite", {
    sdp: offer,
    dialogParams: { callID, destination_number: "+491000", ...params },
  });
}

function bye(from, callID) {
  return from.request("telnyx_rtc.bye", {
    dialogParams: { callID },
    cause: "NORMAL_CLEARING",
    causeCode: 16,
  });
}

/**
 * How a flood ends: by a close frame, or without one where refusals pile up faster than they can be sent (a client that does
 * not read is dropped), or the system resets the connection because frames are still on their way.
 */
const PUT_OUT = [1006, 1008];

describe("C33: limits", () => {
  test("calls of one session: the next one is an error that says how many", async () => {
    await world.carrier();
    const alice = await client();
    const calls = Array.from({ length: CALLS_MAX }, () => randomUUID());
    for (const call of calls) assert.ok((await invite(alice, call)).result);
    const { error } = await invite(alice, randomUUID());
    assert.match(error.message, /at most 2 calls at once/);
    for (const call of calls) assert.ok((await bye(alice, call)).result);
    alice.close();
  });

  test("clients of one user: the next one is told so, and those that are there stay", async () => {
    const clients = [];
    for (let count = 0; count < SESSIONS_MAX; count += 1) clients.push(await client("bob"));
    const more = await RawClient.open(world.host);
    const { error } = await more.request("login", { login: "bob", passwd: USERS.bob });
    assert.match(error.message, /too many clients of this user/);
    assert.notEqual(error.code, -32000);
    for (const each of clients) assert.ok((await each.request("telnyx_rtc.ping")).result);
    for (const each of [...clients, more]) each.close();
  });

  test("requests per second: those above are refused in words; who goes on is put out", async () => {
    const alice = await client();
    const flood = (count) => {
      for (let at = 0; at < count; at += 1)
        alice.sendRaw(JSON.stringify({ jsonrpc: "2.0", id: `f-${at}`, method: "telnyx_rtc.gatewayState" }));
    };
    flood(BURST * 2);
    const refused = await until("a refusal", () =>
      alice.frames.find((frame) => frame.error?.message === "too many requests per second"),
    );
    assert.equal(refused.error.code, -32600);
    assert.equal(alice.closed, null);
    // Put out is who is refused all the time: a slow server lets some through in between, and the flood goes on.
    await until("she is put out", () => {
      if (alice.closed === null) flood(BURST * 8);
      return alice.closed !== null;
    });
    assert.ok(PUT_OUT.includes(alice.closed), String(alice.closed));
    const other = await client();
    assert.ok((await other.request("telnyx_rtc.ping")).result, "others do not notice");
    other.close();
  });

  test("a flood before the login ends the same way", async () => {
    const stranger = await RawClient.open(world.host);
    await until("it is put out", () => {
      for (let at = 0; stranger.closed === null && at < BURST * 10; at += 1)
        stranger.sendRaw(JSON.stringify({ jsonrpc: "2.0", id: `f-${at}`, method: "telnyx_rtc.ping" }));
      return stranger.closed !== null;
    });
    assert.ok(PUT_OUT.includes(stranger.closed), String(stranger.closed));
  });

  test("a socket that does not log in is closed after half a minute", async () => {
    const from = Date.now();
    const stranger = await RawClient.open(world.host);
    const pings = setInterval(() => stranger.request("telnyx_rtc.ping").catch(() => {}), 5_000);
    await stranger.untilClosed(2 * LOGIN_WAIT_MS);
    clearInterval(pings);
    assert.ok(Date.now() - from >= LOGIN_WAIT_MS - 1_000);
  });
});

describe("what comes out of order, twice, or again", () => {
  test("an answer to a call that is none, and one to a call of one's own, are errors that change nothing", async () => {
    const carrier = await world.carrier({ script: (call) => call.ring() });
    const alice = await client();
    const callID = randomUUID();
    const answer = () => alice.request("telnyx_rtc.answer", { sdp: offer, dialogParams: { callID } });
    assert.ok((await answer()).error);
    await invite(alice, callID);
    await alice.event("telnyx_rtc.ringing", (params) => params.callID === callID);
    assert.ok((await answer()).error);
    for (const [method, params] of [
      ["attach", { sdp: offer }],
      ["modify", { action: "hold" }],
      ["modify", { action: "nothing of the kind" }],
    ])
      assert.ok((await alice.request(`telnyx_rtc.${method}`, { ...params, dialogParams: { callID } })).error);
    assert.equal(carrier.calls[0].endedBy, null);
    await bye(alice, callID);
    await until("CANCEL at the carrier", () => carrier.calls[0].endedBy === "cancel");
    alice.close();
  });

  test("an invite said twice is one call; a bye said twice is answered twice", async () => {
    const carrier = await world.carrier();
    const alice = await client();
    const callID = randomUUID();
    assert.ok((await invite(alice, callID)).result);
    assert.match((await invite(alice, callID)).error.message, /is up already/);
    assert.ok((await bye(alice, callID)).result);
    assert.ok((await bye(alice, callID)).result);
    await until("the carrier's call ends", () => carrier.calls[0]?.endedBy);
    assert.equal(carrier.calls.length, 1);
    alice.close();
  });

  test("what was said on the lost socket and is said again on the next one happens once", async () => {
    const carrier = await world.carrier();
    const first = await RawClient.open(world.host);
    const sessid = await first.logIn("alice", USERS.alice);
    const callID = randomUUID();
    await invite(first, callID);
    await first.event("telnyx_rtc.answer", (params) => params.callID === callID);
    const info = { dtmf: "5", dialogParams: { callID } };
    assert.ok((await first.request("telnyx_rtc.info", info)).result);
    await until("the digit", () => carrier.calls[0].rtp.digits === "5");
    first.close();
    await world.untilAway("alice");
    const second = await RawClient.open(world.host);
    const login = { login: "alice", passwd: USERS.alice, reconnection: true, sessid };
    assert.equal((await second.request("login", login)).result.sessid, sessid);
    assert.match((await invite(second, callID)).error.message, /is up already/);
    await throughout("one call", () => carrier.calls.length === 1, 500);
    await bye(second, callID);
    await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
    second.close();
  });

  test("acknowledgements of nothing, results of nothing and errors of nothing are passed over", async () => {
    const alice = await client();
    for (const frame of [
      { id: 999_999, result: { method: "telnyx_rtc.answer" } },
      { id: "x", result: {} },
      { id: -1, error: { code: -1, message: "no" } },
      { id: null, result: null },
    ])
      alice.sendRaw(JSON.stringify({ jsonrpc: "2.0", ...frame }));
    assert.ok((await alice.request("telnyx_rtc.ping")).result);
    alice.close();
  });
});

test("C32: no password, token or TURN credential stands in a log line or a trace", async () => {
  const secrets = ["turn-secret-3f9a", "turn-user-77c1", USERS.alice];
  await world.carrier();
  const phone = await world.loggedIn("alice", {
    debug: true,
    iceServers: [{ urls: "turn:127.0.0.1:9", username: secrets[1], credential: secrets[0] }],
  });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  const stranger = await RawClient.open(world.host);
  const wrong = ["a-wrong-password-51", "aaaa.bbbb.cccc-token"];
  await stranger.request("login", { login: "alice", passwd: wrong[0] });
  await stranger.request("login", { login_token: wrong[1] });
  stranger.close();
  const trace = JSON.stringify(await world.offhook.trace(id));
  assert.ok(trace.includes("telnyx_rtc.invite"), "the trace has the invite");
  const password = /ice-pwd:(\S+?)\\/.exec(JSON.stringify(await phone.ask("sdp", id, "local")))?.[1];
  const log = world.offhook.log.join("\n");
  assert.ok(log.includes("DEBUG"), "the log is at its most talkative");
  for (const secret of [...secrets, ...wrong, password].filter(Boolean)) {
    assert.ok(!log.includes(secret), `${secret} in the log`);
    assert.ok(!trace.includes(secret), `${secret} in the trace`);
  }
  await phone.close();
});
