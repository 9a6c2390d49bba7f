import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTry, RECONNECT_START, type ReconnectState, type ReconnectStep } from "./reconnect.js";

function tries(count: number, random: number): ReconnectStep[] {
  let state: ReconnectState = RECONNECT_START;
  return Array.from({ length: count }, () => {
    const [next, step] = nextTry(state, random);
    state = next;
    return step;
  });
}

test("R51: 1, 2, 4, 8, 15 s fill the 30 s window, then slower tries follow", () => {
  const steps = tries(8, 0.5);
  assert.deepEqual(
    steps.map((step) => step.delayMs),
    [1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000, 60_000],
  );
  assert.deepEqual(
    steps.map((step) => step.phase),
    ["fast", "fast", "fast", "fast", "fast", "background", "background", "background"],
  );
});

test("R51: giving up is said exactly once", () => {
  assert.deepEqual(
    tries(9, 0.5).map((step) => step.exhausted),
    [false, false, false, false, false, true, false, false, false],
  );
});

test("the first try is even, later ones are spread by a quarter", () => {
  const low = tries(3, 0);
  const high = tries(3, 0.999999);
  assert.equal(low[0]?.delayMs, 1_000);
  assert.equal(high[0]?.delayMs, 1_000);
  assert.equal(low[1]?.delayMs, 1_500);
  assert.equal(high[1]?.delayMs, 2_500);
});

test("the fast window stays within 10 % of 30 s without jitter", () => {
  const total = tries(5, 0.5).reduce((sum, step) => sum + step.delayMs, 0);
  assert.ok(Math.abs(total - 30_000) <= 3_000, `window of ${total} ms`);
});
