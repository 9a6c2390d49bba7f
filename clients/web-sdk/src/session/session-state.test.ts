import assert from "node:assert/strict";
import { test } from "node:test";
import { FOR_EVER, RECONNECT_WINDOW_MS } from "./reconnect.js";
import { SESSION_START, stepSession } from "./session-state.js";
import type { SessionEffect, SessionInput, SessionState } from "./session-state.js";

const CLOSED: SessionInput = { type: "socket-closed", random: 0.5, windowMs: RECONNECT_WINDOW_MS };
const TO_READY: SessionInput[] = [
  { type: "connect" },
  { type: "socket-open" },
  { type: "login-accepted" },
  { type: "server-ready", callIds: [] },
  { type: "gateway", state: "REGED" },
];

/** Feeds inputs one after another; gives the last state and every effect. */
function run(inputs: SessionInput[], from: SessionState = SESSION_START): [SessionState, SessionEffect[]] {
  return inputs.reduce<[SessionState, SessionEffect[]]>(
    ([state, effects], input) => {
      const [next, more] = stepSession(state, input);
      return [next, [...effects, ...more]];
    },
    [from, []],
  );
}

function types(effects: SessionEffect[]): string[] {
  return effects.map((effect) => effect.type);
}

test("R10, R17: nothing before connect; then socket, login, registration, ready, in this order", () => {
  const [state, effects] = run(TO_READY);
  assert.equal(state.name, "ready");
  assert.deepEqual(types(effects), [
    "open-socket",
    "send-login",
    "set-timer",
    "keep-calls",
    "send-gateway-state",
    "clear-timers",
    "became-ready",
  ]);
});

test("connect while connecting or ready opens no second socket", () => {
  assert.deepEqual(types(run([{ type: "connect" }, { type: "connect" }])[1]), ["open-socket"]);
  const [ready] = run(TO_READY);
  assert.deepEqual(stepSession(ready, { type: "connect" }), [ready, []]);
});

test("a refused login closes and does not come back by itself", () => {
  const [state, effects] = run([
    { type: "connect" },
    { type: "socket-open" },
    { type: "login-refused", detail: "Authentication failure" },
    CLOSED,
  ]);
  assert.equal(state.name, "closed");
  assert.deepEqual(effects.at(-1), { type: "disconnected", reason: "login-refused" });
  assert.ok(effects.some((effect) => effect.type === "failed" && effect.code === 46001));
});

test("R50: a loss while ready leads to a try after one second, and to ready again", () => {
  const [ready] = run(TO_READY);
  const [waiting, effects] = run([CLOSED], ready);
  assert.deepEqual(effects.at(-1), { type: "set-timer", timer: "retry", ms: 1_000 });
  const [again, more] = run(
    [
      { type: "timer", timer: "retry" },
      { type: "socket-open" },
      { type: "login-accepted" },
      { type: "server-ready", callIds: ["c1"] },
      { type: "gateway", state: "REGED" },
    ],
    waiting,
  );
  assert.equal(again.name, "ready");
  assert.ok(more.some((effect) => effect.type === "keep-calls" && effect.callIds[0] === "c1"));
  assert.deepEqual(more.at(-1), { type: "became-ready", again: true });
});

test("R51: when the fast tries are used up the app hears it once, and tries go on", () => {
  let [state] = run(TO_READY);
  const all: SessionEffect[] = [];
  for (let i = 0; i < 8; i += 1) {
    const [next, effects] = run([CLOSED, { type: "timer", timer: "retry" }], state);
    state = next;
    all.push(...effects);
  }
  assert.equal(all.filter((effect) => effect.type === "disconnected").length, 1);
  assert.equal(all.filter((effect) => effect.type === "reconnecting").length, 5);
  assert.equal(all.filter((effect) => effect.type === "open-socket").length, 8);
});

test("R51: a window without an end is never given up", () => {
  let [state] = run(TO_READY);
  const all: SessionEffect[] = [];
  for (let i = 0; i < 40; i += 1) {
    const closed: SessionInput = { type: "socket-closed", random: 0.5, windowMs: FOR_EVER };
    const [next, effects] = run([closed, { type: "timer", timer: "retry" }], state);
    state = next;
    all.push(...effects);
  }
  assert.equal(all.filter((effect) => effect.type === "disconnected").length, 0);
  assert.equal(all.filter((effect) => effect.type === "reconnecting").length, 40);
});

test("only ready starts the schedule over: an accepted login alone does not", () => {
  const [first] = run([...TO_READY, CLOSED, { type: "timer", timer: "retry" }]);
  const [, effects] = run([{ type: "socket-open" }, { type: "login-accepted" }, CLOSED], first);
  assert.deepEqual(effects.at(-1), { type: "set-timer", timer: "retry", ms: 2_000 });
});

test("connect during the pause tries at once", () => {
  const [waiting] = run([...TO_READY, CLOSED]);
  const [state, effects] = stepSession(waiting, { type: "connect" });
  assert.equal(state.name, "connecting");
  assert.deepEqual(types(effects), ["clear-timers", "open-socket"]);
});

test("a server that accepts the socket and stays silent is given up", () => {
  const [silent] = run([{ type: "connect" }, { type: "socket-open" }]);
  assert.deepEqual(stepSession(silent, { type: "timer", timer: "login" })[1], [{ type: "close-socket" }]);
});

test("a server that is not registered is asked again, and not for ever", () => {
  const [registering] = run(TO_READY.slice(0, 4));
  const again: SessionInput[] = [
    { type: "gateway", state: "NOREG" },
    { type: "timer", timer: "register" },
  ];
  const [, once] = run(again, registering);
  assert.deepEqual(types(once), ["clear-timers", "set-timer", "send-gateway-state", "set-timer"]);
  const [state, effects] = run(Array.from({ length: 12 }, () => again).flat(), registering);
  assert.equal(state.name, "closed");
  assert.ok(effects.some((effect) => effect.type === "failed" && effect.code === 45004));
});

test("a punt ends the session and its calls for good", () => {
  const [ready] = run(TO_READY);
  const [state, effects] = run([{ type: "punted" }, CLOSED], ready);
  assert.equal(state.name, "closed");
  assert.equal(effects[0]?.type, "drop-calls");
  assert.deepEqual(effects.at(-1), { type: "disconnected", reason: "ended-by-server" });
});
