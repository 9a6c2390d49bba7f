// Damaged and hostile input on every socket. Each gets the protocol's own error or silence, and one call that runs
// all the while does not notice.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { bindUdp } from "../lib/ports.mjs";
import { RawClient } from "../lib/raw.mjs";
import { BROWSER_HZ, browserHearsOnly, CARRIER_HZ } from "../lib/talk.mjs";
import { msBetween } from "../lib/trace.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const MIB = 1024 * 1024;
/** How long the server waits for the head of a request. */
const HANDSHAKE_WAIT_MS = 10_000;
/** A second of audio in packets of 20 ms. */
const SECOND_PACKETS = 50;

let world;
let phone;
let carrier;
let talk;
before(async () => {
  world = await World.open();
  carrier = await world.carrier({ toneHz: CARRIER_HZ });
  phone = await world.loggedIn();
  talk = await phone.call("+491000");
  await phone.untilState(talk, "active");
  await phone.untilHears(talk, CARRIER_HZ);
});
afterEach(async () => {
  assert.equal(await phone.state(talk), "active", "the call that runs all the while");
  await phone.untilHears(talk, CARRIER_HZ);
  await until("the carrier hears the browser", () => near(carrier.calls[0].rtp.heardHz(), BROWSER_HZ));
});
after(() => world.close());

async function bob() {
  const client = await RawClient.open(world.host);
  await client.logIn("bob", USERS.bob);
  return client;
}

/** A sound offer of a browser, to be damaged. */
async function offer() {
  return phone.ask("sdp", talk, "local");
}

/** Sends an invite and waits for the refusal: an error, or a result and a bye. Gives what was said. */
async function refusal(client, dialogParams, sdp) {
  const callID = crypto.randomUUID();
  const answer = await client.request("telnyx_rtc.invite", {
    sdp,
    dialogParams: { callID, ...dialogParams },
  });
  if (answer.error) return answer.error;
  const bye = await client.event("telnyx_rtc.bye", (params) => params.callID === callID);
  return bye.params;
}

/**
 * Does `once` one bad thing, and expects the counter `name` with `label` to count it and a log line that matches, one for each.
 * The log lets a few lines of a kind through in ten seconds; a line that was held back is written for a later one.
 */
async function counted(name, label, line, once) {
  const lines = () => world.offhook.log.filter((each) => line.test(each)).length;
  const before = { counter: await world.offhook.counter(name, label), lines: lines() };
  await once();
  await until(
    `${name} counts ${label}`,
    async () => (await world.offhook.counter(name, label)) > before.counter,
  );
  const { counter } = before;
  assert.equal(await world.offhook.counter(name, label), counter + 1, "counted once");
  let [tried, times] = [Date.now(), 1];
  await until(`a log line like ${line}`, async () => {
    if (lines() > before.lines) return true;
    if (Date.now() - tried < 1_000) return false;
    [tried, times] = [Date.now(), times + 1];
    await once();
    return false;
  });
  assert.ok(lines() - before.lines <= times, `${lines() - before.lines} lines for ${times}`);
}

for (const [reason, send] of [
  ["binary", (client) => client.sendRaw(randomBytes(64))],
  ["malformed", (client) => client.sendRaw("hello")],
  ["params", (client) => client.request("telnyx_rtc.invite", 7)],
  ["unknown-method", (client) => client.request("telnyx_rtc.teleport")],
  [
    "unknown-call",
    (client) => client.request("telnyx_rtc.modify", { action: "hold", dialogParams: { callID: talk } }),
  ],
  ["value", async (client) => refusal(client, { destination_number: "+491000\r\nX-Evil: 1" }, await offer())],
]) {
  test(`a bad frame (${reason}) is counted once and logged in one line`, async () => {
    const client = await bob();
    await counted(
      "offhook_vsp_frames_rejected",
      `reason="${reason}"`,
      new RegExp(`frame rejected.*reason="?${reason}"?`),
      () => send(client),
    );
    client.close();
  });
}

test("a request before the login is counted once and logged in one line", async () => {
  const client = await RawClient.open(world.host);
  await counted(
    "offhook_vsp_frames_rejected",
    'reason="not-logged-in"',
    /frame rejected.*reason="?not-logged-in"?/,
    () => client.request("telnyx_rtc.gatewayState"),
  );
  client.close();
});

test("a refused login is counted once and logged in one line, without the password", async () => {
  const client = await RawClient.open(world.host);
  const passwd = "a-password-that-nobody-has";
  await counted("offhook_vsp_logins", 'outcome="wrong', /login refused/, () =>
    client.request("login", { login: "alice", passwd }),
  );
  assert.ok(!world.offhook.log.some((line) => line.includes(passwd)));
  client.close();
});

test("a frame that is too large is counted once and logged in one line", async () => {
  await counted("offhook_vsp_frames_rejected", 'reason="broken"', /WebSocket broken off/, async () => {
    const client = await bob();
    client.sendRaw(`"${"x".repeat(4 * MIB)}"`);
    await client.untilClosed();
  });
});

test("a damaged SIP message is counted once and logged in one line", async () => {
  const socket = await bindUdp(0);
  await counted("offhook_sip_proxy_refused", "reason=", /a SIP message was refused/, () =>
    socket.send("INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: nothing\r\n\r\n", world.ports.proxy, "127.0.0.1"),
  );
  socket.close();
});

test("a datagram of no call is counted once and logged in one line", async () => {
  const socket = await bindUdp(0);
  const rtp = Buffer.concat([Buffer.from([0x80, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9]), randomBytes(160)]);
  await counted(
    "offhook_media_datagrams_unknown",
    "",
    /datagram to the WebRTC port that belongs to no call/,
    () => socket.send(rtp, world.ports.webrtc, "127.0.0.1"),
  );
  socket.close();
});

test("frames that are too large, binary or half end at most their own connection", async () => {
  const large = await bob();
  large.sendRaw(
    JSON.stringify({
      jsonrpc: "2.0",
      id: "x",
      method: "telnyx_rtc.ping",
      params: { a: "x".repeat(4 * MIB) },
    }),
  );
  await large.untilClosed();

  const binary = await bob();
  binary.sendRaw(randomBytes(64));
  assert.ok((await binary.request("telnyx_rtc.ping")).result ?? binary.closed);
  binary.close();

  const half = await bob();
  half.socket._socket.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5]));
  half.socket._socket.destroy();
});

test("JSON that is damaged, deep or of the wrong shape is survived", async () => {
  const client = await bob();
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  for (const text of [
    '{"jsonrpc":"2.0","id":"1","method":"telnyx_rtc.ping"',
    `{"jsonrpc":"2.0","id":"2","method":"telnyx_rtc.ping","params":${deep}}`,
    '{"jsonrpc":"2.0","id":{"a":1},"method":"telnyx_rtc.ping"}',
    '{"jsonrpc":"2.0","id":"3","method":7}',
    '{"jsonrpc":"2.0","id":"4","method":"telnyx_rtc.invite","params":7}',
    '{"jsonrpc":"2.0","id":"5","method":"telnyx_rtc.info","params":{"dtmf":["1"]}}',
    '{"jsonrpc":"2.0","id":"6","method":"telnyx_rtc.bye","params":{"dialogParams":null}}',
    '{"id":"7","result":null}',
    '\u0000\u0001"',
  ]) {
    client.sendRaw(text);
  }
  assert.ok((await client.request("telnyx_rtc.ping")).result);
  client.close();
});

test("an HTTP request that is none is answered with an error or closed", async () => {
  for (const text of [
    "GET / HTTP/9.9\r\n\r\n",
    "\r\n\r\n\r\n",
    "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
  ]) {
    const socket = net.connect(world.ports.http, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data));
    socket.on("error", () => {});
    socket.write(text);
    await until(
      "an answer or the end",
      () => answer !== "" || socket.destroyed || socket.readableEnded,
      6 * HANDSHAKE_WAIT_MS,
    );
    assert.ok(!answer.startsWith("HTTP/1.1 101"), answer);
    socket.destroy();
  }
});

test("somebody else's call cannot be ended, held, or sent digits to", async () => {
  const client = await bob();
  const dialogParams = { callID: talk };
  const requests = [
    ["bye", { cause: "NORMAL_CLEARING", causeCode: 16 }],
    ["modify", { action: "hold" }],
    ["info", { dtmf: "1" }],
  ];
  for (const [method, params] of requests)
    await client.request(`telnyx_rtc.${method}`, { ...params, dialogParams });
  assert.equal(carrier.calls[0].endedBy, null);
  assert.equal(carrier.calls[0].rtp.digits, "");
  client.close();
});

test("numbers with line breaks or a thousand digits never reach the carrier", async () => {
  const client = await bob();
  const before = carrier.received.length;
  const numbers = [
    "+491000\r\nX-Evil: 1",
    "+491000\nRoute: <sip:evil>",
    "+49".padEnd(1_024, "1"),
    "\u0000",
    "+491 000>;x=<",
  ];
  for (const destination_number of numbers) {
    const said = await refusal(client, { destination_number }, await offer());
    assert.ok(said.code || said.cause, JSON.stringify(said));
  }
  assert.equal(carrier.received.length, before);
  client.close();
});

test("header values with line breaks never become headers", async () => {
  const client = await bob();
  const custom_headers = [
    { name: "X-Good", value: "yes\r\nX-Evil: 1" },
    { name: "X-Bad\r\nX-Evil", value: "1" },
    { name: "Route", value: "<sip:192.0.2.1>" },
  ];
  const callID = crypto.randomUUID();
  const dialogParams = {
    callID,
    destination_number: "+491000",
    custom_headers,
    caller_id_name: 'x"\r\nX-Evil: 1',
  };
  await client.request("telnyx_rtc.invite", { sdp: await offer(), dialogParams });
  await client.request("telnyx_rtc.bye", { dialogParams: { callID } });
  for (const invite of carrier.requests("INVITE")) {
    assert.doesNotMatch(invite.raw, /^X-Evil/im);
    assert.doesNotMatch(invite.raw, /^Route:.*192\.0\.2\.1/im);
  }
  client.close();
});

test("SDP without audio, without keys, or without sense is refused in the dialect's own words", async () => {
  const client = await bob();
  const good = await offer();
  const damaged = {
    "no audio": good.replace(/^m=audio/m, "m=video"),
    "no fingerprint": good.replaceAll(/^a=fingerprint:.*\r\n/gm, ""),
    "no ICE": good.replaceAll(/^a=ice-(ufrag|pwd):.*\r\n/gm, ""),
    "no codec of ours": good.replace(/^(m=audio \d+ \S+) .*/m, "$1 96").replaceAll(/^a=rtpmap:.*\r\n/gm, ""),
    "not SDP": "hello",
    empty: "",
  };
  for (const [what, sdp] of Object.entries(damaged)) {
    const said = await refusal(client, { destination_number: "+491000" }, sdp);
    assert.ok(said.code || said.causeCode, `${what}: ${JSON.stringify(said)}`);
  }
  client.close();
});

test("R41: a browser whose certificate is not that of its fingerprint gets no media, and is told why", async () => {
  const other = await world.phone();
  await other.page.evaluate(() => {
    const wrong = Array(32).fill("AB").join(":");
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      send.call(this, text.replaceAll(/(a=fingerprint:sha-256 )[0-9A-F:]+/g, `$1${wrong}`));
    };
  });
  await other.logIn("bob", USERS.bob);
  const calls = carrier.calls.length;
  const id = await other.call("+491000");
  const { cause, sipCode, sipReason } = await other.untilEnded(id);
  assert.deepEqual([cause, sipCode, sipReason], ["INCOMPATIBLE_DESTINATION", 488, "DTLS handshake failed"]);
  assert.equal(carrier.calls.length, calls + 1);
  assert.equal(carrier.calls.at(-1).rtp.heardHz(), null, "nothing of the browser's tone");
  await other.close();
});

test("500 candidates do not matter", async () => {
  const client = await bob();
  const callID = crypto.randomUUID();
  const many = Array.from(
    { length: 500 },
    (_, i) => `a=candidate:${i} 1 udp ${i + 1} 192.0.2.${i % 250} ${1024 + i} typ host\r\n`,
  );
  const sdp = (await offer()).replace(/^a=ice-ufrag/m, `${many.join("")}a=ice-ufrag`);
  const answer = await client.request("telnyx_rtc.invite", {
    sdp,
    dialogParams: { callID, destination_number: "+491000" },
  });
  assert.ok(answer.result, JSON.stringify(answer));
  await client.event("telnyx_rtc.ringing", (params) => params.callID === callID);
  const { events } = await world.offhook.trace(callID);
  const afterMs = msBetween(events, ["client", "vsp", "invite"], ["vsp", "sip-proxy", "INVITE"]);
  assert.ok(afterMs < 1_000, `${afterMs} ms`);
  await client.request("telnyx_rtc.bye", { dialogParams: { callID } });
  client.close();
});

test("damaged SIP is ignored or refused, and never forwarded", async () => {
  const socket = await bindUdp(0);
  const { port } = socket.address();
  const lines = (...text) => Buffer.from(`${text.join("\r\n")}\r\n\r\n`);
  const via = `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKx${port}`;
  const rest = [
    "From: <sip:x@x>;tag=1",
    "To: <sip:y@x>",
    "Call-ID: evil",
    "CSeq: 1 INVITE",
    "Max-Forwards: 70",
  ];
  const before = carrier.received.length;
  const messages = [
    lines("INVITE sip:+491000@127.0.0.1 SIP/2.0", via, ...rest, "Content-Length: 99999"),
    lines("INVITE sip:+491000@127.0.0.1 SIP/2.0", via, ...rest, "Content-Length: -1"),
    lines("INVITE sip:+491000@127.0.0.1 SIP/2.0", via),
    lines("INVITE sip:+491000@127.0.0.1 SIP/2.0", ...rest),
    lines("INVITE sip:+491000@127.0.0.1 SIP/7.0", via, ...rest),
    lines("SIP/2.0 200 OK", `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=wrong`, ...rest),
    lines("SIP/2.0 200 OK", via, ...rest),
    lines("BYE sip:nobody@127.0.0.1 SIP/2.0", via, ...rest.with(3, "CSeq: 1 BYE")),
    Buffer.from("\r\n\r\n"),
    randomBytes(1_200),
    Buffer.alloc(0),
  ];
  for (const target of [world.ports.proxy, world.ports.vspSip]) {
    for (const message of messages) socket.send(message, target, "127.0.0.1");
  }
  await throughout("nothing is forwarded", () => carrier.received.length === before, 500);
  socket.close();
});

test("STUN with bad integrity and RTP from strangers change nothing", async () => {
  const socket = await bindUdp(0);
  const ufrag = /^a=ice-ufrag:(\S+)/m.exec(await phone.ask("sdp", talk, "remote"))[1];
  const username = Buffer.from(`${ufrag}:evil`);
  const padded = Buffer.concat([username, Buffer.alloc((4 - (username.length % 4)) % 4)]);
  const attribute = (type, value, length = value.length) =>
    Buffer.concat([Buffer.from([type >> 8, type & 255, length >> 8, length & 255]), value]);
  const body = Buffer.concat([
    attribute(0x0006, padded, username.length),
    attribute(0x0025, Buffer.alloc(0)),
    attribute(0x0008, randomBytes(20)),
  ]);
  const stun = Buffer.concat([
    Buffer.from([0, 1, body.length >> 8, body.length & 255, 0x21, 0x12, 0xa4, 0x42]),
    randomBytes(12),
    body,
  ]);
  const answers = [];
  socket.on("message", (message) => answers.push(message));
  const rtp = Buffer.concat([Buffer.from([0x80, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9]), randomBytes(160)]);
  const rtpPort = Number(/^m=audio (\d+)/m.exec(carrier.calls[0].invite.body)[1]);
  for (let i = 0; i < 50; i += 1) {
    socket.send(stun, world.ports.webrtc, "127.0.0.1");
    socket.send(rtp, world.ports.webrtc, "127.0.0.1");
    socket.send(rtp, rtpPort, "127.0.0.1");
    socket.send(randomBytes(200), world.ports.webrtc, "127.0.0.1");
    socket.send(randomBytes(200), rtpPort, "127.0.0.1");
  }
  await browserHearsOnly(phone, talk, 1_000);
  const success = answers.filter((message) => message.readUInt16BE(0) === 0x0101);
  assert.deepEqual(success, []);
  assert.ok(
    answers.every((message) => message[0] < 0x80),
    "no media goes to a stranger",
  );
  socket.close();
});

test("R28: the WebSocket carries no media: a second of talk adds packets at the carrier and no frame", async () => {
  const { rtp } = carrier.calls[0];
  const enough = rtp.packetsReceived + SECOND_PACKETS;
  const count = async () =>
    (await phone.frames()).filter(({ frame }) => frame.method !== "telnyx_rtc.ping" && !frame.result).length;
  const before = await count();
  await until("a second of talk at the carrier", async () => {
    assert.equal(await count(), before, "nothing is said");
    return rtp.packetsReceived >= enough;
  });
});
