// Reading a call's trace.
import assert from "node:assert/strict";

/** The SIP header that carries the platform's id of a call, in lower case. */
export const CALL_ID_HEADER = "x-offhook-call-id";

/** Asserts that the steps `[from, to, name]` stand in the trace one after another; other events may lie between. */
export function inOrder(events, steps) {
  let at = -1;
  for (const [number, [from, to, name]] of steps.entries()) {
    const found = events.findIndex(
      (event, index) => index > at && event.from === from && event.to === to && event.name === name,
    );
    assert.ok(
      found > at,
      `step ${number + 1} (${from} -> ${to}: ${name}) is missing or too early in\n${printed(events)}`,
    );
    at = found;
  }
}

function printed(events) {
  return events.map((event) => `${event.observer}: ${event.from} -> ${event.to} ${event.name}`).join("\n");
}
