import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "./events.js";

const READY = { sessionId: "s", region: null };

test("R68: both names of an event deliver the same object", () => {
  const emitter = new Emitter((thrown) => assert.fail(String(thrown)));
  const got: unknown[] = [];
  emitter.on("ready", (payload) => got.push(payload));
  emitter.on("telnyx.ready", (payload) => got.push(payload));
  emitter.emit("ready", READY);
  assert.equal(got.length, 2);
  assert.equal(got[0], got[1]);
});

test("off removes one listener, or all of the event under either name", () => {
  const emitter = new Emitter((thrown) => assert.fail(String(thrown)));
  const calls: string[] = [];
  const first = (): void => void calls.push("first");
  emitter.on("ready", first);
  emitter.on("ready", () => calls.push("second"));
  emitter.off("telnyx.ready", first);
  emitter.emit("ready", READY);
  emitter.off("telnyx.ready");
  emitter.emit("ready", READY);
  assert.deepEqual(calls, ["second"]);
});

test("a listener that throws does not keep the others from hearing", () => {
  const thrown: unknown[] = [];
  const emitter = new Emitter((error) => thrown.push(error));
  let heard = 0;
  emitter.on("ready", () => {
    throw new Error("app");
  });
  emitter.on("ready", () => (heard += 1));
  emitter.emit("ready", READY);
  assert.equal(heard, 1);
  assert.equal(thrown.length, 1);
});
