import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFrame, readableHeaders, request } from "./messages.js";

test("garbage is refused, not thrown", () => {
  for (const text of ["", "null", "17", "[]", "{", '"x"', "{}", '{"id":1}', '{"id":"a","result":null}']) {
    assert.equal(decodeFrame(text), null, text);
  }
});

test("a call message without its call id or its needed SDP is not a call message", () => {
  for (const method of ["ringing", "media", "answer", "bye", "invite"]) {
    const frame = decodeFrame(JSON.stringify({ id: 1, method: `telnyx_rtc.${method}`, params: {} }));
    assert.equal(frame?.message.type, "unknown", method);
  }
  const media = decodeFrame(JSON.stringify({ id: 1, method: "telnyx_rtc.media", params: { callID: "c" } }));
  assert.equal(media?.message.type, "unknown");
});

test("a bye keeps the words of the telephone network", () => {
  const frame = decodeFrame(
    JSON.stringify({
      id: 46,
      method: "telnyx_rtc.bye",
      params: { callID: "c", cause: "USER_BUSY", causeCode: 17, sipCode: 486, sipReason: "Busy Here" },
      voice_sdk_id: "v",
    }),
  );
  assert.equal(frame?.voiceSdkId, "v");
  assert.ok(frame?.message.type === "call" && frame.message.message.type === "bye");
  const { cause, causeCode, sipCode, sipReason } = frame.message.message;
  assert.deepEqual(
    { cause, causeCode, sipCode, sipReason },
    { cause: "USER_BUSY", causeCode: 17, sipCode: 486, sipReason: "Busy Here" },
  );
});

test("clientReady: a missing list and an empty list are different things", () => {
  const ready = (params: object) =>
    decodeFrame(JSON.stringify({ id: 1, method: "telnyx_rtc.clientReady", params }));
  assert.deepEqual(ready({})?.message, { type: "client-ready", callIds: null });
  assert.deepEqual(ready({ reattached_sessions: [] })?.message, { type: "client-ready", callIds: [] });
});

test("R56: custom headers read as a list and by name", () => {
  const headers = readableHeaders([
    { name: "X-Caller-Name", value: "John" },
    { name: "X-Tag", value: "1" },
    { name: "X-Tag", value: "2" },
  ]);
  assert.equal(headers["X-Caller-Name"], "John");
  assert.equal(headers["X-Tag"], "1");
  assert.deepEqual(
    [...headers].map((header) => header.value),
    ["John", "1", "2"],
  );
});

test("a header cannot replace what a list is made of", () => {
  const headers = readableHeaders([
    { name: "length", value: "9" },
    { name: "__proto__", value: "x" },
  ]);
  assert.equal(headers.length, 2);
  assert.ok(Array.isArray(headers));
});

test("login alone goes without the prefix", () => {
  assert.equal(request("login", {}).method, "login");
  assert.equal(request("invite", {}).method, "telnyx_rtc.invite");
});

test("news of a call: digits, texts, the far end's hold; never to be acknowledged", () => {
  const decode = (method: string, params: object) =>
    decodeFrame(JSON.stringify({ id: 60, method: `telnyx_rtc.${method}`, params }))?.message;
  const news = [
    decode("info", { callID: "c", dtmf: "5" }),
    decode("info", { callID: "c", msg: { body: "hello" } }),
    decode("event", { eventChannel: "c", eventData: { kind: "earlyMedia" } }),
    decode("event", { eventChannel: "c", eventData: { kind: "farHold", holdState: "held" } }),
    decode("event", { eventChannel: "c", eventData: { kind: "transfer", state: "failed", sipCode: 486 } }),
    decode("event", { eventChannel: "c", eventData: { kind: "farTransfer", state: "done", sipCode: 200 } }),
  ];
  assert.deepEqual(
    news.map((each) => each?.type === "call" && [each.id, each.message]),
    [
      [null, { type: "digits", callId: "c", digits: "5" }],
      [null, { type: "text", callId: "c", text: "hello" }],
      [null, { type: "early-media", callId: "c" }],
      [null, { type: "far-hold", callId: "c", held: true }],
      [null, { type: "transfer", callId: "c", transfer: { by: "us", state: "failed", sipCode: 486 } }],
      [null, { type: "transfer", callId: "c", transfer: { by: "far-end", state: "done", sipCode: 200 } }],
    ],
  );
  assert.equal(decode("info", { callID: "c" })?.type, "unknown");
  assert.equal(decode("event", { eventChannel: "c", eventData: 7 })?.type, "unknown");
  const odd = { kind: "transfer", state: "odd" };
  assert.equal(decode("event", { eventChannel: "c", eventData: odd })?.type, "unknown");
});

test("a new far end is shown, and that is acknowledged", () => {
  const params = { callID: "c", display_name: "Carol", display_number: "+49" };
  const message = decodeFrame(JSON.stringify({ id: 62, method: "telnyx_rtc.display", params }))?.message;
  assert.deepEqual(message?.type === "call" && [message.id, message.message], [
    62,
    { type: "display", callId: "c", name: "Carol", number: "+49" },
  ]);
});
