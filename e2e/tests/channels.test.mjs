// Everything beside calls: texts, channels, reports, the pre-call check, STUN. C22 to C25, C27 to C30, R66.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { bindUdp } from "../lib/ports.mjs";
import { RawClient } from "../lib/raw.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const MIB = 1024 * 1024;
const STUN_COOKIE = [0x21, 0x12, 0xa4, 0x42];

let world;
before(async () => {
  world = await World.open({ vsp: { recordings_dir: "@/recordings" } });
});
afterEach(() => world.closeCarriers());
after(() => world.close());

async function alice() {
  const client = await RawClient.open(world.host);
  await client.logIn("alice", USERS.alice);
  return client;
}

/** JSON; `null` while it is still being written. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Sends what the SDK sends beside its socket, under an id that the server gave out, or has not. */
function upload(url, reportId, body) {
  const headers = { "content-type": "application/json", "x-call-report-id": reportId, "x-call-id": "c" };
  return fetch(url, { method: "POST", headers, body });
}

test("C22, R66: a text in a call reaches the far end as SIP MESSAGE", async () => {
  const carrier = await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.ask("message", id, "bob", 'grüße, "quoted"\r\nand a second line');
  await until("MESSAGE at the carrier", () => carrier.requests("MESSAGE").length > 0);
  const [message] = carrier.requests("MESSAGE");
  assert.equal(message.body, 'grüße, "quoted"\r\nand a second line');
  assert.equal(carrier.requests("MESSAGE").length, 1);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("C23: subscribe, unsubscribe and broadcast have their results", async () => {
  const client = await alice();
  const eventChannel = ["conference-liveArray.sales"];
  const [subscribed, unsubscribed, broadcast] = await Promise.all([
    client.request("telnyx_rtc.subscribe", { eventChannel }),
    client.request("telnyx_rtc.unsubscribe", { eventChannel }),
    client.request("telnyx_rtc.broadcast", { eventChannel: eventChannel[0], data: {} }),
  ]);
  for (const answer of [subscribed, unsubscribed, broadcast])
    assert.equal(typeof answer.result, "object", JSON.stringify(answer));
  client.close();
});

test("C24: the browser's own report of a call comes into the call's trace", async () => {
  await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, 440);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  const report = await until("the report", async () =>
    (await world.offhook.trace(id))?.events.find((event) => event.name === "call-report"),
  );
  assert.match(JSON.stringify(report), /durationSeconds/);
  await phone.close();
});

test("C24: reports need an id that we gave out, and are bounded; any page may send them", async () => {
  const url = `http://127.0.0.1:${world.ports.http}/call_report`;
  const client = await alice();
  const { result } = await client.request("telnyx_rtc.gatewayState");
  const { call_report_id: id } = result.params;
  assert.ok(typeof id === "string" && id.length > 0, JSON.stringify(result));
  const post = (reportId, body) => upload(url, reportId, body);
  const preflight = await fetch(url, { method: "OPTIONS" });
  assert.ok(preflight.ok);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  for (const name of ["content-type", "x-call-id", "x-call-report-id", "x-voice-sdk-id"])
    assert.ok(preflight.headers.get("access-control-allow-headers").includes(name), name);
  assert.equal((await post(id, '{"summary":{}}')).status, 204);
  assert.equal((await post("made-up", '{"summary":{}}')).status, 403);
  assert.equal((await post(id, "{")).status, 400);
  const report = (bytes) => JSON.stringify({ logs: "x".repeat(bytes - '{"logs":""}'.length) });
  assert.equal((await post(id, report(2 * MIB))).status, 204);
  assert.equal((await post(id, report(2 * MIB + 1))).status, 413);
  client.close();
});

test("C25: what the SDK records of a call is kept on the server, both tracks", async () => {
  await world.carrier();
  const phone = await world.loggedIn("alice", { enableCallRecording: true });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, 440);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  const folder = join(world.offhook.folder, "recordings");
  const tracks = (all) => [...new Set(all.map(({ track }) => track))].sort();
  const segments = await until("recordings of both tracks", () => {
    const names = readdirSync(folder).filter((name) => name.includes(id));
    const whole = names.map((name) => parsed(readFileSync(join(folder, name), "utf8"))).filter(Boolean);
    return tracks(whole).length === 2 && whole;
  });
  assert.deepEqual(tracks(segments), ["local", "remote"]);
  for (const { call_id, codec, packets } of segments) {
    assert.deepEqual([call_id, codec], [id, "pcm-f32-le"]);
    assert.ok(Array.isArray(packets));
  }
  await phone.close();
});

test("C25: recordings need an id that we gave out; 16 MiB pass; any page may send them", async () => {
  const url = `http://127.0.0.1:${world.ports.http}/call_recording`;
  const client = await alice();
  const { result } = await client.request("telnyx_rtc.gatewayState");
  const post = (reportId, body) => upload(url, reportId, body);
  const preflight = await fetch(url, { method: "OPTIONS" });
  assert.deepEqual([preflight.ok, preflight.headers.get("access-control-allow-origin")], [true, "*"]);
  const segment = JSON.stringify({ packets: ["x".repeat(15 * MIB)] });
  assert.equal((await post(result.params.call_report_id, segment)).status, 204);
  assert.equal((await post("made-up", "{}")).status, 403);
  client.close();
});

test("C28: the SDK's speed test has its two times", async () => {
  const phone = await world.loggedIn();
  const result = await phone.ask("speedTest", 256 * 1024);
  for (const key of ["upDur", "downDur"]) assert.ok(Number.isInteger(result[key]), JSON.stringify(result));
  assert.equal((await phone.records()).closes, 0);
  await phone.close();
});

test("C27: a request to an assistant that is not there is answered with {}", async () => {
  const client = await alice();
  client.sendRaw(JSON.stringify({ jsonrpc: "2.0", method: "ai_conversation", params: {} }));
  client.sendRaw(JSON.stringify({ jsonrpc: "2.0", id: "ai", method: "ai_conversation", params: {} }));
  const answer = await until("an answer", () => client.frames.find((frame) => frame.id === "ai"));
  assert.deepEqual(answer.result, {});
  client.close();
});

test("C29: the SDK's pre-call check against an echo", async () => {
  await world.carrier({ toneHz: "echo" });
  const phone = await world.loggedIn();
  const report = await phone.ask("preCall", "+491000", 3_000);
  assert.equal(JSON.stringify(report).includes("error"), false, JSON.stringify(report).slice(0, 2_000));
  await phone.close();
});

test("C29: six calls at once for the SDK's check of the network, to the number that it calls by itself", async () => {
  let atOnce = 0;
  const carrier = await world.carrier({
    toneHz: "echo",
    script: (call) => {
      call.ring();
      call.answer();
      atOnce = Math.max(atOnce, carrier.calls.filter(({ endedBy }) => endedBy === null).length);
    },
  });
  const phone = await world.loggedIn();
  const iceServers = Array.from({ length: 6 }, () => ({ urls: `stun:127.0.0.1:${world.ports.stun}` }));
  const report = await phone.ask("networkCheck", { iceServers });
  const servers = report.serverTests.map(({ established, error }) => [established, error]);
  assert.deepEqual(servers, new Array(6).fill([true, undefined]));
  await until("all calls are over", () => carrier.calls.every((call) => call.endedBy === "bye"));
  assert.equal(carrier.calls.length, 6);
  assert.ok(atOnce > 1, "they run side by side");
  await phone.close();
});

test("C30: a browser whose iceServers name our STUN port is heard, and hears", async () => {
  const carrier = await world.carrier({ toneHz: 440 });
  const iceServers = [{ urls: `stun:127.0.0.1:${world.ports.stun}` }];
  const phone = await world.loggedIn("alice", { iceServers });
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, 440);
  await until("the carrier hears the browser", () => near(carrier.calls[0].rtp.heardHz(), 700));
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

for (const port of ["webrtc", "stun"]) {
  test(`C30: the ${port} port answers STUN`, async () => {
    const socket = await bindUdp(0);
    const transaction = randomBytes(12);
    const request = Buffer.concat([Buffer.from([0, 1, 0, 0, ...STUN_COOKIE]), transaction]);
    let answer = null;
    socket.on("message", (message) => (answer = message));
    socket.send(request, world.ports[port], "127.0.0.1");
    await until("a STUN response", () => answer);
    assert.equal(answer.readUInt16BE(0), 0x0101);
    assert.deepEqual(answer.subarray(8, 20), transaction);
    const mapped = answer.readUInt16BE(answer.indexOf(Buffer.from([0x00, 0x20, 0x00, 0x08])) + 6) ^ 0x2112;
    assert.equal(mapped, socket.address().port, "XOR-MAPPED-ADDRESS is where the request came from");
    socket.close();
  });
}
