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

/**
 * How long after the first step `[from, to, name]` the second one was, in ms, by the clock of the process that saw both: how
 * fast browser and test are is no matter of the platform.
 */
export function msBetween(events, first, second) {
  const at = ([from, to, name]) => {
    const found = events.find((event) => event.from === from && event.to === to && event.name === name);
    assert.ok(found, `${from} -> ${to}: ${name} is missing in\n${printed(events)}`);
    return Date.parse(found.time);
  };
  return at(second) - at(first);
}

function printed(events) {
  return events.map((event) => `${event.observer}: ${event.from} -> ${event.to} ${event.name}`).join("\n");
}
