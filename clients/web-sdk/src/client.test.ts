/** The client against a scripted server: the real session and signaling over a WebSocket that the test plays. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { OffhookClient } from "./client.js";
import { CallError, SessionError } from "./errors.js";
import { fakeBrowser, FakePage, FakePeer, FakeSocket, FakeStream, settled } from "./testing/fake-browser.js";
import { REMEMBERED, REMEMBERED_CALL } from "./testing/page-before.js";
import { remember } from "./session/page-memory.js";

const OPTIONS = {
  host: "ws://localhost:8080",
  login: "alice",
  password: "secret",
  logLevel: "silent",
} as const;

beforeEach(fakeBrowser);
afterEach(() => mock.timers.reset());

const socket = FakeSocket.at;

function inviteFrame(callID: string): object {
  return {
    id: 7,
    method: "telnyx_rtc.invite",
    params: {
      callID,
      sdp: "v=0",
      caller_id_number: "+49301",
      caller_id_name: "Bob",
      dialogParams: { custom_headers: [{ name: "X-Caller-Name", value: "John" }] },
    },
  };
}

test("R10: no socket before connect, one after", () => {
  const client = new OffhookClient(OPTIONS);
  assert.equal(FakeSocket.all.length, 0);
  client.connect();
  client.connect();
  assert.equal(FakeSocket.all.length, 1);
});

test("R17: login, then exactly one ready; a call before it is refused with its own error", async () => {
  const client = new OffhookClient(OPTIONS);
  const ready: unknown[] = [];
  client.on("telnyx.ready", (event) => ready.push(event)).connect();
  assert.throws(
    () => client.newCall({ destinationNumber: "9196" }),
    (e) => e instanceof CallError && e.code === 44007,
  );
  await socket().letIn();
  assert.deepEqual(ready, [{ sessionId: "s1", region: "eu" }]);
  const login = socket().last("login").params;
  assert.equal(login?.["passwd"], "secret");
  assert.deepEqual(login?.["loginParams"], { early_sdp_answer: true });
});

test("a refused login says what the server said, once, and stays away", async () => {
  const client = new OffhookClient(OPTIONS);
  const codes: unknown[] = [];
  client.on("error", ({ error }) => codes.push([error.code, error.detail]));
  client.connect();
  socket().open();
  await socket().say({
    id: socket().last("login").id,
    error: { code: -32001, message: "Authentication failure" },
  });
  mock.timers.tick(120_000);
  assert.deepEqual(codes, [[46001, "Authentication failure"]]);
  assert.equal(FakeSocket.all.length, 1);
});

test("R31, R32: an inbound call is acknowledged and rings without any app code", async () => {
  const client = new OffhookClient(OPTIONS);
  const states: string[] = [];
  client.on("notification", ({ call }) =>
    states.push(`${call.state} ${call.customHeaders["X-Caller-Name"]}`),
  );
  client.connect();
  await socket().letIn();
  await socket().say(inviteFrame("c1"));
  assert.deepEqual(states, ["ringing John"]);
  assert.deepEqual(socket().sent.at(-1), { jsonrpc: "2.0", id: 7, result: { method: "telnyx_rtc.invite" } });
});

test("a call that the server ends keeps its cause and is forgotten", async () => {
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  await socket().say(inviteFrame("c1"));
  const call = client.calls.get("c1");
  await socket().say({
    id: 8,
    method: "telnyx_rtc.bye",
    params: {
      callID: "c1",
      cause: "ORIGINATOR_CANCEL",
      causeCode: 487,
      sipCode: 487,
      sipReason: "Request Terminated",
    },
  });
  assert.equal(call?.state, "destroy");
  assert.equal(call?.prevState, "hangup");
  assert.equal(call?.cause, "ORIGINATOR_CANCEL");
  assert.equal(call?.sipCode, 487);
  assert.equal(client.calls.size, 0);
});

test("a message for a call that we do not have is not acknowledged", async () => {
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  const before = socket().sent.length;
  await socket().say({ id: 9, method: "telnyx_rtc.ringing", params: { callID: "stranger" } });
  assert.equal(socket().sent.length, before);
});

test("a server's ping is answered with a ping of our own", async () => {
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  await socket().say({ id: 41, method: "telnyx_rtc.ping", params: { serno: 1 } });
  assert.notEqual(socket().last("telnyx_rtc.ping").id, 41);
});

test("R50: after a loss the session resumes; a call that the server kept lives on, another ends", async () => {
  const client = new OffhookClient(OPTIONS);
  const errors: number[] = [];
  client.on("error", ({ error }) => errors.push(error.code));
  client.connect();
  await socket().letIn();
  await socket().say(inviteFrame("kept"));
  await socket().say(inviteFrame("gone"));
  socket().close();
  mock.timers.tick(1_000);
  assert.equal(new URL(socket().url).searchParams.get("voice_sdk_id"), "v1");
  socket().open();
  const login = socket().last("login");
  assert.equal(login.params?.["sessid"], "s1");
  await socket().say({ id: login.id, result: { sessid: "s1" } });
  await socket().say({
    id: 1,
    method: "telnyx_rtc.clientReady",
    params: { reattached_sessions: ["kept", "forgotten"] },
  });
  assert.deepEqual([...client.calls.keys()], ["kept"]);
  assert.ok(errors.includes(48501));
  assert.deepEqual(socket().last("telnyx_rtc.bye").params?.["dialogParams"], { callID: "forgotten" });
});

test("a silent connection is probed and then given up", async () => {
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  const realNow = Date.now;
  Date.now = () => realNow() + 60_000;
  try {
    mock.timers.tick(5_000);
    socket().last("telnyx_rtc.ping");
    mock.timers.tick(5_000);
    await new Promise<void>((done) => setImmediate(done));
  } finally {
    Date.now = realNow;
  }
  assert.equal(client.connected, false);
});

test("credentials are required before anything else", () => {
  assert.throws(
    () => new OffhookClient({ host: "ws://localhost", login: "alice" }),
    (error) => error instanceof SessionError && error.code === 46002 && error.remedy.includes("password"),
  );
});

test("who connects again while the old socket still closes has one session, and one watch over it", async () => {
  FakeSocket.closesLate = true;
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket(0).letIn();
  client.disconnect();
  client.connect();
  await socket(1).letIn();
  await socket(0).say(inviteFrame("of the session before"));
  assert.equal(client.calls.size, 0);
  socket(0).onclose?.();
  assert.equal(client.connected, true);
  const realNow = Date.now;
  Date.now = () => realNow() + 21_000;
  try {
    mock.timers.tick(5_000);
  } finally {
    Date.now = realNow;
  }
  assert.deepEqual(
    [0, 1].map((index) => socket(index).count("telnyx_rtc.ping")),
    [0, 1],
  );
});

test("a call does not ring in a client that signs out", async () => {
  FakeSocket.closesLate = true;
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  client.disconnect();
  await socket().say(inviteFrame("late"));
  assert.equal(client.calls.size, 0);
});

test("new media twice in a row: the later takes over, and one microphone is open", async () => {
  new FakePage();
  remember(sessionStorage, REMEMBERED, Date.now());
  const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  const errors: unknown[] = [];
  client.on("error", ({ error }) => errors.push(error));
  client.connect();
  await socket().letIn(["c1"]);
  const attach = (id: number): object => ({
    id,
    method: "telnyx_rtc.attach",
    params: { callID: "c1", sdp: "v=0" },
  });
  // Both before the browser has opened the microphone; the third while the answer to the second is made.
  void socket().say(attach(8));
  void socket().say(attach(9));
  await settled();
  await settled();
  await socket().say(attach(10));
  for (let turn = 0; turn < 12; turn += 1) await settled();
  assert.deepEqual(errors, []);
  assert.equal(FakeStream.all.filter(({ track }) => !track.stopped).length, 1);
  assert.deepEqual(
    FakePeer.all.map(({ closed }) => closed),
    FakePeer.all.map((_, index) => index < FakePeer.all.length - 1),
  );
  assert.equal(socket().count("telnyx_rtc.attach"), 1);
  const sent = socket().last("telnyx_rtc.attach");
  assert.equal(sent.params?.["sdp"], `v=0 of ${FakePeer.all.length - 1}`);
  await socket().say({ id: sent.id, result: {} });
  const call = client.calls.get("c1");
  assert.equal(call?.state, "active");
  call?.hangup();
  assert.ok(FakeStream.all.every(({ track }) => track.stopped) && FakePeer.all.every(({ closed }) => closed));
});

test("R21: newCall gives a call at once, in state new; microphone, offer and invite follow by themselves", async () => {
  const client = new OffhookClient(OPTIONS);
  const states: string[] = [];
  client.on("notification", ({ call }) => states.push(call.state)).connect();
  await socket().letIn();
  const call = client.newCall({ destinationNumber: "9196" });
  assert.deepEqual(
    [call.state, client.calls.get(call.id), socket().count("telnyx_rtc.invite")],
    ["new", call, 0],
  );
  for (let turn = 0; turn < 8; turn += 1) await settled();
  assert.equal(FakeStream.all.length, 1);
  assert.equal(socket().last("telnyx_rtc.invite").params?.["sdp"], "v=0 of 0");
  assert.deepEqual(states, ["requesting"]);
});

test("what fails on a call says on which", async () => {
  const refused = { getUserMedia: () => Promise.reject(new DOMException("no", "NotAllowedError")) };
  Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: refused }, configurable: true });
  const client = new OffhookClient(OPTIONS);
  const errors: unknown[] = [];
  client.on("error", ({ error, callId }) => errors.push([error.code, callId]));
  client.connect();
  await socket().letIn();
  const call = client.newCall({ destinationNumber: "9196" });
  await settled();
  assert.deepEqual(errors, [[42001, call.id]]);
  assert.equal(call.state, "destroy");
});

test("a client that has signed out leaves nothing behind, and a refused login loses no call", async () => {
  const page = new FakePage();
  const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  client.connect();
  await socket().letIn();
  assert.equal(page.listeners.size, 1);
  client.disconnect();
  assert.equal(page.listeners.size, 0);

  remember(sessionStorage, REMEMBERED, Date.now());
  const mistyped = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  mistyped.connect();
  socket().open();
  const { id } = socket().last("login");
  await socket().say({ id, error: { code: -32001, message: "Authentication failure" } });
  const again = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  again.connect();
  socket().open();
  assert.equal(socket().last("login").params?.["sessid"], "s1");
});

/** Lets what a call does by itself come as far as it goes without the server. */
async function allSettled(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await settled();
}

test("an app that hangs up as soon as it hears of its call has called nobody", async () => {
  const client = new OffhookClient(OPTIONS);
  client.on("notification", ({ call }) => {
    if (call.state === "requesting") call.hangup();
  });
  client.connect();
  await socket().letIn();
  client.newCall({ destinationNumber: "9196" });
  await allSettled();
  assert.equal(socket().count("telnyx_rtc.invite"), 0);
  assert.ok(FakeStream.all.every(({ track }) => track.stopped) && FakePeer.all.every(({ closed }) => closed));
});

test("an app that hangs up while its call moves to new media leaves no connection open", async () => {
  new FakePage();
  remember(sessionStorage, REMEMBERED, Date.now());
  const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  client.connect();
  await socket().letIn(["c1"]);
  const attach = { id: 8, method: "telnyx_rtc.attach", params: { callID: "c1", sdp: "v=0" } };
  await socket().say(attach);
  await allSettled();
  client.on("notification", ({ call }) => {
    if (call.state === "recovering") call.hangup();
  });
  await socket().say({ id: socket().last("telnyx_rtc.attach").id, result: {} });
  await socket().say({ ...attach, id: 9 });
  await allSettled();
  assert.ok(FakePeer.all.every(({ closed }) => closed));
});

test("who was muted is still muted when the page is loaded anew", async () => {
  new FakePage();
  const calls = [{ ...REMEMBERED_CALL, muted: true }];
  remember(sessionStorage, { ...REMEMBERED, calls }, Date.now());
  const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  client.connect();
  await socket().letIn(["c1"]);
  await socket().say({ id: 8, method: "telnyx_rtc.attach", params: { callID: "c1", sdp: "v=0" } });
  await allSettled();
  assert.equal(client.calls.get("c1")?.isMuted, true);
  assert.deepEqual(
    FakeStream.all.map(({ track }) => track.enabled),
    [false],
  );
  assert.equal(
    client.calls.get("c1")?.remember()?.muted,
    undefined,
    "nothing is left of a call that is moving",
  );
  await socket().say({ id: socket().last("telnyx_rtc.attach").id, result: {} });
  assert.equal(client.calls.get("c1")?.remember()?.muted, true);
});

test("calls of a client that is not let in any more are over, and their microphone is closed", async () => {
  new FakePage();
  remember(sessionStorage, REMEMBERED, Date.now());
  const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
  client.connect();
  await socket().letIn(["c1"]);
  await socket().say({ id: 8, method: "telnyx_rtc.attach", params: { callID: "c1", sdp: "v=0" } });
  await allSettled();
  await socket().say({ id: socket().last("telnyx_rtc.attach").id, result: {} });
  const call = client.calls.get("c1");
  assert.equal(call?.state, "active");
  socket().close();
  mock.timers.tick(1_000);
  socket().open();
  await socket().say({ id: socket().last("login").id, error: { code: -32001, message: "expired" } });
  assert.equal(call?.state, "destroy");
  assert.ok(FakeStream.all.every(({ track }) => track.stopped) && FakePeer.all.every(({ closed }) => closed));
});

test("two calls may share an element: the end of one does not silence the other", async () => {
  const client = new OffhookClient(OPTIONS);
  client.connect();
  await socket().letIn();
  const remoteElement = { srcObject: null, play: () => Promise.resolve() } as unknown as HTMLMediaElement;
  const [first, second] = [0, 1].map(() => client.newCall({ destinationNumber: "9196", remoteElement }));
  await allSettled();
  for (const peer of FakePeer.all) peer.ontrack?.({ streams: [new FakeStream()] });
  first?.hangup();
  assert.equal(remoteElement.srcObject, second?.remoteStream);
  second?.hangup();
  assert.equal(remoteElement.srcObject, null);
});

test("a browser that keeps its storage from us is no reason not to call", async () => {
  new FakePage();
  const refused = { get: () => assert.fail("SecurityError"), configurable: true };
  const before = Object.getOwnPropertyDescriptor(globalThis, "sessionStorage");
  Object.defineProperty(globalThis, "sessionStorage", refused);
  try {
    const client = new OffhookClient({ ...OPTIONS, recoverCalls: true });
    client.connect();
    await socket().letIn();
    assert.equal(client.connected, true);
    client.disconnect();
  } finally {
    Object.defineProperty(globalThis, "sessionStorage", before ?? { value: undefined, configurable: true });
  }
});
