// The way of a call through its parts, and what a client meets on it: R1, R4, R5, R7, R11, R14, R16, R23, R37, R44, R47.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { startCarrier } from "../lib/carrier.mjs";
import { USERS } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { browserSdp, RawClient } from "../lib/raw.mjs";
import { header, headers, hostPort, uriOf } from "../lib/sip.mjs";
import { BROWSER_HZ, CARRIER_HZ } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const PCM_PACKET_LEN = 160;

let world;
before(async () => {
  world = await World.open({ vsp: { site: "FR5", region: "europe" } });
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("R1: a client made from docs/wire-protocol.md alone logs in, calls, and is called", async () => {
  const version = /^# The client dialect, version (\d+)$/m.exec(
    readFileSync(new URL("../../docs/wire-protocol.md", import.meta.url), "utf8"),
  )[1];
  const client = await RawClient.open(world.host);
  const login = await client.request("login", { login: "alice", passwd: USERS.alice });
  assert.equal(login.result.protocol_version, Number(version), "the version that the text describes");
  await client.event("telnyx_rtc.clientReady");

  const carrier = await world.carrier();
  const outbound = crypto.randomUUID();
  const created = await client.request("telnyx_rtc.invite", {
    sessid: login.result.sessid,
    sdp: browserSdp("actpass"),
    dialogParams: { callID: outbound, destination_number: "+491000" },
  });
  assert.equal(created.result.message, "CALL CREATED");
  const ringing = await client.event("telnyx_rtc.ringing", ({ callID }) => callID === outbound);
  assert.ok(ringing.params.telnyx_session_id);
  await client.event("telnyx_rtc.answer", ({ callID }) => callID === outbound);
  const ended = await client.request("telnyx_rtc.bye", { dialogParams: { callID: outbound } });
  assert.equal(ended.result.message, "CALL ENDED");
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");

  const call = await carrier.dial(world.ports.proxy, ALICE);
  const invite = await client.event("telnyx_rtc.invite");
  const { callID } = invite.params;
  assert.match(invite.params.sdp, /^m=audio/m);
  client.sendRaw(JSON.stringify({ jsonrpc: "2.0", id: invite.id, result: { method: invite.method } }));
  await call.untilStatus(180);
  const answered = await client.request("telnyx_rtc.answer", {
    sdp: browserSdp("active", /^m=audio \d+ \S+ (.*?)\r?$/m.exec(invite.params.sdp)[1]),
    dialogParams: { callID },
  });
  assert.equal(answered.result.message, "CALL ANSWERED");
  await call.untilStatus(200);
  call.hangup();
  await client.event("telnyx_rtc.bye", (params) => params.callID === callID);
  client.close();
});

test("R16: the login tells session, way back, protocol version, and then site and region", async () => {
  const client = await RawClient.open(world.host);
  const login = await client.request("login", { login: "alice", passwd: USERS.alice });
  assert.ok(login.result.sessid && login.voice_sdk_id);
  assert.equal(typeof login.result.protocol_version, "number");
  const { params } = (await client.request("telnyx_rtc.gatewayState")).result;
  assert.deepEqual([params.state, params.dc, params.region], ["REGED", "FR5", "europe"]);
  client.close();
});

test("R14: an upgrade is answered with its key; what is none gets an HTTP error", async () => {
  const url = `http://127.0.0.1:${world.ports.http}`;
  const client = await RawClient.open(world.host);
  assert.equal(client.socket.readyState, client.socket.OPEN, "the key was checked by the library");
  client.close();
  assert.equal((await fetch(`${url}/nothing/here`)).status, 404);
  assert.ok([400, 405].includes((await fetch(url, { method: "PUT" })).status));
  const old = await upgradeStatus({ "Sec-WebSocket-Version": "8" });
  assert.ok([400, 426].includes(old), `version 8: ${old}`);
  assert.equal(await upgradeStatus({ "Sec-WebSocket-Key": "" }), 400);
});

/** The status of an upgrade with these headers changed. */
async function upgradeStatus(changed) {
  const http = await import("node:http");
  return new Promise((resolve, reject) => {
    const request = http.request({
      port: world.ports.http,
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...changed,
      },
    });
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    request.on("error", reject);
    request.end();
  });
}

test("R4, R5, R44: a plain page without SDP, sockets or peer connections of its own makes and takes a call", async () => {
  const app = readFileSync(new URL("../pages/own.js", import.meta.url), "utf8");
  const code = app.replace(/\/\/.*$/gm, "");
  assert.doesNotMatch(code, /RTCPeerConnection|WebSocket|sdp|import |require\(/i);

  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.ownPhone();
  await phone.logIn("alice");
  const made = await phone.call("+491000");
  await phone.untilState(made, "active");
  await until("packets both ways", () => carrier.calls[0].rtp.packetsReceived > 10);
  await phone.hangup(made);
  await phone.untilState(made, "destroy");

  const call = await carrier.dial(world.ports.proxy, ALICE);
  const taken = await until("it rings in the app", () => phone.ask("ringing"));
  await phone.ask("answer", taken);
  await phone.untilState(taken, "active");
  await until("packets both ways", () => call.rtp.packetsReceived > 10);
  await phone.hangup(taken);
  await until("BYE at the carrier", () => call.endedBy === "bye");
  await phone.close();
});

test("R7: each number goes to its carrier over UDP, and what follows takes the same way", async () => {
  const carriers = {
    "+491000": await world.carrier(),
    "+492000": await startCarrier({ port: world.ports.carriers.sipp }),
  };
  const phone = await world.loggedIn();
  for (const [number, carrier] of Object.entries(carriers)) {
    const id = await phone.call(number);
    await phone.untilState(id, "active");
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
    await until("BYE at the carrier", () => carrier.requests("BYE").length === 1);
    assert.equal(carrier.calls.length, 1, number);
    for (const method of ["INVITE", "ACK", "BYE"]) {
      const [via] = headers(carrier.requests(method)[0], "via");
      assert.match(via, /^SIP\/2\.0\/UDP /, method);
      assert.equal(hostPort(via.split(" ")[1]).port, world.ports.proxy, `${method} came by the proxy`);
    }
  }
  await carriers["+492000"].close();
  await phone.close();
});

test("R23, R37: the carrier's INVITE has the proxy's Via and Record-Route, and an offer; its answer reaches the browser's leg", async () => {
  const carrier = await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const { invite } = carrier.calls[0];
  const via = headers(invite, "via");
  assert.equal(via.length, 2, "proxy, then VSP");
  assert.match(via[0], /;branch=z9hG4bK/);
  assert.deepEqual(
    via.map((each) => hostPort(each.split(" ")[1]).port),
    [world.ports.proxy, world.ports.vspSip],
  );
  const route = uriOf(header(invite, "record-route"));
  assert.match(route, /;lr\b/);
  assert.equal(hostPort(route).port, world.ports.proxy);
  assert.match(invite.body, /^m=audio \d+ RTP\/AVP /m);
  assert.match(await phone.ask("sdp", id, "local"), /^m=audio \d+ UDP\/TLS\/RTP\/SAVPF /m);
  assert.match(await phone.ask("sdp", id, "remote"), /^a=fingerprint:/m);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("R11: one socket carries the login and three calls", async () => {
  await world.carrier();
  const phone = await world.loggedIn();
  for (let nth = 0; nth < 3; nth += 1) {
    const id = await phone.call("+491000");
    await phone.untilState(id, "active");
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
  }
  const { sockets, closes } = await phone.records();
  assert.deepEqual([sockets, closes], [1, 0]);
  await phone.close();
});

for (const codec of ["PCMU", "PCMA"]) {
  test(`R47, R48: a ${codec} carrier is sent ${PCM_PACKET_LEN} bytes each 20 ms, that is 64 kbit/s`, async () => {
    const carrier = await world.carrier({ codecs: [codec], toneHz: CARRIER_HZ });
    const phone = await world.loggedIn();
    const id = await phone.call("+491000");
    await phone.untilState(id, "active");
    const { rtp } = carrier.calls[0];
    await until("the carrier hears the browser", () => near(rtp.heardHz(), BROWSER_HZ));
    assert.deepEqual([...rtp.payloadSizes], [PCM_PACKET_LEN]);
    const steps = [...rtp.timestampSteps].sort(([, a], [, b]) => b - a);
    assert.equal(steps[0][0], PCM_PACKET_LEN, `most packets stand for 20 ms: ${JSON.stringify(steps)}`);
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
    await phone.close();
  });
}
