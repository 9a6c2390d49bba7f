/** The client against a scripted server: the real session and signaling over a WebSocket that the test plays. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { OffhookClient } from "./client.js";
import { CallError, SessionError } from "./errors.js";

type Json = Record<string, unknown> & { id?: string; method?: string; params?: Record<string, unknown> };

/** Stands in for the browser's socket; the test plays the server's side. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly sent: Json[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Json);
  }

  close(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** Sends a frame to the client and lets its promises run. */
  async say(frame: object): Promise<void> {
    this.onmessage?.({ data: JSON.stringify({ jsonrpc: "2.0", voice_sdk_id: "v1", ...frame }) });
    await new Promise<void>((done) => setImmediate(done));
  }

  last(method: string): Json {
    const found = this.sent.findLast((message) => message.method === method);
    assert.ok(found, `${method} was sent`);
    return found;
  }

  async letIn(): Promise<void> {
    this.open();
    await this.say({ id: this.last("login").id, result: { message: "logged in", sessid: "s1" } });
    await this.say({ id: 1, method: "telnyx_rtc.clientReady", params: { reattached_sessions: [] } });
    await this.say({
      id: this.last("telnyx_rtc.gatewayState").id,
      result: { params: { state: "REGED", region: "eu" } },
    });
  }
}

const OPTIONS = {
  host: "ws://localhost:8080",
  login: "alice",
  password: "secret",
  logLevel: "silent",
} as const;

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  Object.assign(globalThis, { WebSocket: FakeSocket });
});
afterEach(() => mock.timers.reset());

function socket(index = -1): FakeSocket {
  const found = FakeSocket.all.at(index);
  assert.ok(found);
  return found;
}

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
