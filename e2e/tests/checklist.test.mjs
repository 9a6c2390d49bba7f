// The checklist of the wire protocol, item by item, with the public SDK or frame by frame.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { USERS } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { RawClient } from "../lib/raw.mjs";
import { BROWSER_HZ, CARRIER_HZ } from "../lib/talk.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

/** Items of the minimum are shown end to end; those of the complete server there, or in the tests of a crate. */
const MINIMUM = Array.from({ length: 29 }, (_, i) => `M${i + 1}`);
const COMPLETE = Array.from({ length: 33 }, (_, i) => `C${i + 1}`);
const ALL_KEYS = "0123456789*#ABCD";
/** Longer than a busy machine takes to close a page and to look. */
const REATTACH_GRACE_S = 10;

let world;
before(async () => {
  world = await World.open({ vsp: { reattach_grace_s: REATTACH_GRACE_S } });
});
after(() => world.close());

/** Names of the tests here, those of `describe` around them included. */
function namesHere() {
  const folder = new URL("./", import.meta.url);
  return readdirSync(folder).flatMap((file) =>
    [
      ...readFileSync(new URL(file, folder), "utf8").matchAll(/^\s*(?:test|describe)\([\s`"]*([^`"]*)[`"]/gm),
    ].map(([, name]) => name),
  );
}

/** Names of the tests of all crates, such as `c07_an_expired_token_asks_for_one_login`. */
function namesOfCrates() {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const files = ["services", "testing", "wire"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => join(root, folder, file)),
  );
  return files
    .filter((file) => file.endsWith(".rs"))
    .flatMap((file) => [
      ...readFileSync(file, "utf8").matchAll(/#\[(?:tokio::)?test\]\s+(?:async )?fn (\w+)/g),
    ])
    .map(([, name]) => name);
}

test("every item of the checklist has a test that is named by it", () => {
  const here = namesHere();
  const crates = namesOfCrates();
  const shownHere = (item) => here.some((name) => new RegExp(`\\b${item}\\b`).test(name));
  const shownThere = (item) => {
    const named = new RegExp(`(?:^|_)c0*${item.slice(1)}_`);
    return crates.some((name) => named.test(name));
  };
  assert.ok(crates.length > 500, "the crates' tests are found");
  const missing = [
    ...MINIMUM.filter((item) => !shownHere(item)),
    ...COMPLETE.filter((item) => !shownHere(item) && !shownThere(item)),
  ];
  assert.deepEqual(missing, []);
});

describe("the socket", () => {
  test("M1: any path, any query, no sub-protocol", async () => {
    for (const path of [
      "/",
      "/?voice_sdk_id=x%2Fy&canary=true",
      "/a/b?rtc_ip=192.0.2.1&rtc_port=1&unknown=%00",
    ]) {
      const client = await RawClient.open(`${world.host}${path}`);
      assert.equal(client.socket.protocol, "");
      await client.logIn("alice", USERS.alice);
      client.close();
    }
  });

  test("M2: one JSON object per text frame, and no harm from text that is none", async () => {
    const client = await RawClient.open(world.host);
    await client.logIn("alice", USERS.alice);
    for (const text of ["", "hello", "{", "null", "17", "[]", "#SPU 2048", "#SPB ....", "#SPE"])
      client.sendRaw(text);
    const pong = await client.request("telnyx_rtc.ping");
    assert.ok(pong.result);
    assert.equal(client.closed, null);
    for (const frame of client.frames) assert.equal(frame.jsonrpc, "2.0", JSON.stringify(frame));
    assert.match(client.speedTest[0], /^#SPU\d+$/);
    client.close();
  });

  test("M3: every frame carries the session's own, unguessable voice_sdk_id", async () => {
    const ids = [];
    for (const user of ["alice", "alice", "bob"]) {
      const client = await RawClient.open(world.host);
      await client.request("telnyx_rtc.ping");
      await client.logIn(user, USERS[user]);
      await client.request("telnyx_rtc.gatewayState");
      const seen = new Set(client.frames.map((frame) => frame.voice_sdk_id));
      assert.equal(seen.size, 1, [...seen].join());
      ids.push(...seen);
      client.close();
    }
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.ok(typeof id === "string" && id.length >= 22, id);
  });

  test("M22: an unknown method is -32601, a frame without a method is answered with {}, and the socket stays", async () => {
    const client = await RawClient.open(world.host);
    await client.logIn("alice", USERS.alice);
    assert.equal((await client.request("telnyx_rtc.teleport")).error.code, -32601);
    const debug = await client.request(null, undefined, { type: "debug_report_data", debug_report_id: "d" });
    assert.deepEqual(debug.result, {});
    assert.ok((await client.request("telnyx_rtc.ping")).result);
    client.close();
  });

  test("M18: a bye for a call that nobody knows is answered with a result", async () => {
    const client = await RawClient.open(world.host);
    const sessid = await client.logIn("alice", USERS.alice);
    const callID = "00000000-0000-4000-8000-000000000000";
    const answer = await client.request("telnyx_rtc.bye", {
      sessid,
      dialogParams: { callID },
      cause: "NORMAL_CLEARING",
      causeCode: 16,
    });
    assert.equal(answer.result.callID, callID);
    client.close();
  });
});

describe("calls", () => {
  let phone;
  before(async () => {
    phone = await world.loggedIn();
  });
  afterEach(() => world.closeCarriers());
  after(() => phone.close());

  /** Places a call that is answered at once. */
  async function talk(number = "+491000") {
    const id = await phone.call(number);
    await phone.untilState(id, "active");
    return id;
  }

  async function end(id) {
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
  }

  /** What the server said about a call, in order, results of its requests included. */
  async function said(id) {
    const frames = await phone.frames();
    const asked = frames
      .filter(({ from, frame }) => from === "client" && frame.params?.dialogParams?.callID === id)
      .map(({ frame }) => frame.id);
    return frames
      .filter(
        ({ from, frame }) => from === "server" && (frame.params?.callID === id || asked.includes(frame.id)),
      )
      .map(({ frame }) => frame);
  }

  test("M11: the result of the invite comes before any other frame of the call", async () => {
    await world.carrier();
    const id = await talk();
    const [first] = await said(id);
    assert.equal(first.result?.message, "CALL CREATED");
    assert.equal(first.result.callID, id);
    assert.equal(typeof first.result.sessid, "string");
    await end(id);
  });

  test("M12: new, requesting, trying, early, active, and media both ways", async () => {
    const carrier = await world.carrier({
      toneHz: CARRIER_HZ,
      script: async (call) => {
        call.ring();
        call.progress();
        await until("the browser is in early", async () => (await phone.states(id)).includes("early"));
        call.answer();
      },
    });
    const id = "11111111-2222-4333-8444-555555555555";
    await phone.call("+491000", { id });
    await phone.untilState(id, "active");
    await phone.untilHears(id, CARRIER_HZ);
    await until("the carrier hears the browser", () => near(carrier.calls[0].rtp.heardHz(), BROWSER_HZ));
    assert.deepEqual(await phone.states(id), ["new", "requesting", "trying", "early", "active"]);
    await end(id);
  });

  test("M20, R63: digits reach the carrier as telephone-event, each once and in order, and the result says SENT", async () => {
    const carrier = await world.carrier({ toneHz: CARRIER_HZ });
    const id = await talk();
    await phone.untilHears(id, CARRIER_HZ);
    await phone.ask("dtmf", id, ALL_KEYS);
    await until("all digits at the carrier", () => carrier.calls[0].rtp.digits.length >= ALL_KEYS.length);
    assert.equal(carrier.calls[0].rtp.digits, ALL_KEYS);
    assert.equal(carrier.requests("INFO").length, 0, "a digit is never sent twice");
    const sent = await until("the result says so", async () =>
      (await said(id)).find((frame) => frame.result?.message === "SENT"),
    );
    assert.equal(typeof sent.result.sessid, "string");
    await end(id);
  });

  test("M23: the server never renegotiates, never trickles, never offers again", async () => {
    await world.carrier({ toneHz: CARRIER_HZ });
    const id = await talk();
    await phone.untilHears(id, CARRIER_HZ);
    await end(id);
    const methods = (await said(id)).map((frame) => frame.method).filter(Boolean);
    for (const method of ["modify", "candidate", "endOfCandidates", "attach", "invite"]) {
      assert.ok(!methods.includes(`telnyx_rtc.${method}`), methods.join());
    }
    assert.ok(methods.filter((method) => method === "telnyx_rtc.media").length <= 1);
  });

  test("M24: the SDP answer is one that any browser can use", async () => {
    await world.carrier();
    const id = await talk();
    const offer = await phone.ask("sdp", id, "local");
    const answer = await phone.ask("sdp", id, "remote");
    const mid = /^a=mid:(.*)$/m.exec(offer)[1];
    for (const line of [
      /^a=setup:(passive|active)\r?$/m,
      /^a=rtcp-mux\r?$/m,
      new RegExp(`^a=mid:${mid.trim()}\\r?$`, "m"),
      /^a=fingerprint:sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\r?$/m,
      /^a=ice-ufrag:\S{4,}\r?$/m,
      /^a=ice-pwd:\S{22,}\r?$/m,
      /^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 \d+ typ host/im,
      /^a=sendrecv\r?$/m,
      /msid:\S+ \S+/,
    ]) {
      assert.match(answer, line);
    }
    await end(id);
  });

  test("M26: two calls on one socket do not disturb each other", async () => {
    const tones = { 491001: 440, 491002: 620 };
    const carrier = await world.carrier({ toneHz: (number) => tones[number] });
    const first = await talk("+491001");
    const second = await talk("+491002");
    await Promise.all([phone.untilHears(first, 440), phone.untilHears(second, 620)]);
    await end(first);
    assert.equal(await phone.state(second), "active");
    await phone.untilHears(second, 620);
    const live = carrier.calls.find((call) => call.number === "491002");
    assert.equal(live.endedBy, null);
    await end(second);
  });

  test("M28: without a client the carrier's call is kept for the grace time and then released", async () => {
    const carrier = await world.carrier();
    const lost = await world.loggedIn("bob");
    const id = await lost.call("+491000");
    await lost.untilState(id, "active");
    await lost.close();
    const [call] = carrier.calls;
    await throughout("the call is kept", () => call.endedBy === null, 2_000);
    await until("BYE at the carrier", () => call.endedBy === "bye");
  });

  test("M29: host, iceServers and credentials are all that an app has to set", async () => {
    await world.carrier({ toneHz: "echo" });
    const id = await talk();
    await phone.untilHears(id, BROWSER_HZ);
    await end(id);
  });
});

describe("a quiet minute", { concurrency: true }, () => {
  const QUIET_MS = 62_000;

  test("M4: the server pings every 15 s, and an idle client sees neither a loss nor a warning", async () => {
    const phone = await world.loggedIn();
    const from = Date.now();
    await throughout("one socket", async () => (await phone.records()).closes === 0, QUIET_MS);
    const pings = (await phone.frames()).filter(
      ({ from: who, frame }) => who === "server" && frame.method === "telnyx_rtc.ping",
    );
    const expected = Math.floor((Date.now() - from) / 15_000);
    assert.ok(Math.abs(pings.length - expected) <= 1, `${pings.length} pings, about ${expected} expected`);
    for (const { frame } of pings) {
      assert.ok(Number.isInteger(frame.id));
      assert.ok(Number.isInteger(frame.params.serno));
    }
    assert.deepEqual((await phone.records()).warnings, []);
    await phone.close();
  });

  test("M5: a socket that says nothing for a minute is closed", async () => {
    const client = await RawClient.open(world.host);
    // Who names itself is expected to ping; the library's Pong frames are no sign of life then.
    const named = { "User-Agent": { sdkVersion: "test", data: "test" } };
    const from = Date.now();
    await client.request("login", { login: "alice", passwd: USERS.alice, ...named });
    await client.untilClosed(180_000);
    const silentMs = Date.now() - from;
    assert.ok(silentMs >= 55_000, `closed after ${silentMs} ms`);
  });

  test("M25: with a far end that sends nothing the browser is still sent audio, and never starts a recovery", async () => {
    await world.carrier({ toneHz: "nothing" });
    const phone = await world.loggedIn();
    const id = await phone.call("+491000");
    await phone.untilState(id, "active");
    await throughout("the call goes on", async () => (await phone.state(id)) === "active", QUIET_MS);
    const { packetsReceived: last } = await phone.ask("stats", id);
    assert.ok(last >= QUIET_MS / 20 / 2, `${last} packets in ${QUIET_MS} ms`);
    const codes = (await phone.records()).warnings.map((warning) => warning.code);
    assert.ok(!codes.includes(32001) && !codes.includes(36004), codes.join());
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
    await phone.close();
  });
});
