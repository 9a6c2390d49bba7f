// What most tests of a call begin and end with: a tone each way, and a hang-up that the carrier hears of.
import assert from "node:assert/strict";
import { near } from "./phone.mjs";
import { throughout, until } from "./wait.mjs";

/** The browser's microphone. */
export const BROWSER_HZ = 700;
/** What the carrier sends where a test says no other tone. */
export const CARRIER_HZ = 440;

/** Waits until the carrier hears a tone in a call of its own. */
export function carrierHears(call, hz = BROWSER_HZ) {
  return until(`${hz} Hz at the carrier`, () => near(call.rtp.heardHz(), hz));
}

/**
 * Watches the carrier for `ms`: it hears this tone, most of the time, and no other. A moment in which a busy browser makes no sound
 * is not one in which something else is played.
 */
export function carrierHearsOnly(call, ms, hz = BROWSER_HZ) {
  return hearsOnly("the carrier", () => call.rtp.heardHz(), ms, hz);
}

/** The same at the browser. */
export function browserHearsOnly(phone, id, ms, hz = CARRIER_HZ) {
  return hearsOnly("the browser", () => phone.ask("heardHz", id), ms, hz);
}

async function hearsOnly(who, heardHz, ms, hz) {
  const looks = { heard: 0, silent: 0 };
  const look = async () => {
    const heard = await heardHz();
    if (heard === null) looks.silent += 1;
    else looks.heard += 1;
    return heard === null || near(heard, hz);
  };
  await throughout(`${who} hears ${hz} Hz alone`, look, ms);
  assert.ok(looks.heard > looks.silent, `${who} hears ${hz} Hz: ${JSON.stringify(looks)}`);
}

/** Waits until the carrier no longer hears the browser. */
export function untilUnheard(call) {
  return until("the carrier no longer hears the browser", () => !near(call.rtp.heardHz(), BROWSER_HZ));
}

/** Waits until both ends of a call hear each other: `id` at the browser, `call` at the carrier. */
export async function bothHear(phone, id, call) {
  await phone.untilHears(id, CARRIER_HZ);
  await carrierHears(call);
}

/** Places a call that the carrier answers by itself; gives both sides of it once they hear each other. */
export async function talk(phone, carrier, options = {}) {
  const id = await phone.call("+491000", options);
  await phone.untilState(id, "active");
  const call = carrier.calls.at(-1);
  await bothHear(phone, id, call);
  return { id, call };
}

/** Hangs up in the browser, and waits for the end on both sides. */
export async function hangUp(phone, id, call) {
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE at the carrier", () => call.endedBy === "bye");
}

/** The ids of all calls that a page has seen. */
export async function callIds(phone) {
  return new Set((await phone.records()).states.map((each) => each.id));
}

/** Waits until a call rings in a page that is none of `known`; gives its id. */
export async function ringing(phone, known = new Set()) {
  const found = await until("it rings in the browser", async () =>
    (await phone.records()).states.find((each) => each.state === "ringing" && !known.has(each.id)),
  );
  return found.id;
}
