import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FOR_EVER,
  nextTry,
  RECONNECT_START,
  RECONNECT_WINDOW_MS,
  type ReconnectState,
  type ReconnectStep,
} from "./reconnect.js";

function tries(count: number, random: number, windowMs = RECONNECT_WINDOW_MS): ReconnectStep[] {
  let state: ReconnectState = RECONNECT_START;
  return Array.from({ length: count }, () => {
    const [next, step] = nextTry(state, random, windowMs);
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

/** The delays before the app is told, and whether it is. */
function window(windowMs: number): [number[], boolean] {
  const steps = tries(12, 0.5, windowMs);
  const fast = steps.filter((step) => step.phase === "fast").map((step) => step.delayMs);
  return [fast, steps.some((step) => step.exhausted)];
}

test("R51: the app chooses the window, and the last try ends with it; 0 is for ever", () => {
  assert.deepEqual(window(500), [[500], true]);
  assert.deepEqual(window(10_000), [[1_000, 2_000, 4_000, 3_000], true]);
  assert.deepEqual(window(60_000), [[1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000], true]);
  const [fast, exhausted] = window(FOR_EVER);
  assert.deepEqual(
    fast.slice(4),
    Array.from({ length: 8 }, () => 15_000),
  );
  assert.ok(!exhausted);
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
