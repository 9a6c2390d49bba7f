// Two browsers and a SIP phone of one user ring together; whichever answers, the others stop. One rejection is not all.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { PHONE_PASSWORD } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { BROWSER_HZ, callIds, CARRIER_HZ, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const PHONE_HZ = 620;
const ALICE = "+15550105";

let world;
let browsers;
before(async () => {
  world = await World.open({ users: { alice: { phone_password: PHONE_PASSWORD } } });
  browsers = [await world.loggedIn(), await world.loggedIn()];
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call to alice that rings everywhere: at the carrier, at both browsers, at the phone. */
async function ring() {
  const sip = await world.sipPhone({ toneHz: PHONE_HZ });
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const known = await Promise.all(browsers.map(async (each) => callIds(each)));
  const call = await carrier.dial(world.ports.proxy, ALICE);
  const rings = await Promise.all(browsers.map((each, at) => ringing(each, known[at])));
  await sip.event("CALL_INCOMING");
  await call.untilStatus(180);
  return { sip, call, rings };
}

/** When a call came into a state, in ms. */
async function stateAt(browser, id, state) {
  const { states } = await browser.records();
  return states.find((each) => each.id === id && each.state === state).at;
}

/** The measured time from the decision to answer to the silence everywhere else; the budget is 200 ms. */
function report(t, who, answeredAt, stoppedAt) {
  const latencies = stoppedAt.map((at) => at - answeredAt);
  t.diagnostic(`${who} answers: the others stop after ${latencies.join(" and ")} ms`);
}

test("a browser answers: the other browser and the phone stop", async (t) => {
  const { sip, call, rings } = await ring();
  await browsers[0].ask("answer", rings[0]);
  await browsers[0].untilState(rings[0], "active");
  await call.untilStatus(200);
  const end = await browsers[1].untilEnded(rings[1]);
  assert.deepEqual([end.cause, end.sipReason], ["LOSE_RACE", "Call completed elsewhere"]);
  const closed = await sip.event("CALL_CLOSED");
  const answeredAt = await stateAt(browsers[0], rings[0], "answering");
  report(t, "a browser", answeredAt, [await stateAt(browsers[1], rings[1], "hangup"), closed.at]);
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  assert.deepEqual(
    call.statuses.filter((status) => status >= 200),
    [200],
  );
  await browsers[0].ask("hangup", rings[0]);
  await until("BYE at the carrier", () => call.endedBy === "bye");
});

test("the phone answers: both browsers stop, and the phone talks and hangs up", async (t) => {
  const { sip, call, rings } = await ring();
  const answeredAt = Date.now();
  sip.answer();
  await call.untilStatus(200);
  const ends = await Promise.all(browsers.map((each, which) => each.untilEnded(rings[which])));
  for (const end of ends) assert.equal(end.sipReason, "Call completed elsewhere");
  const stopped = await Promise.all(browsers.map((each, which) => stateAt(each, rings[which], "hangup")));
  report(t, "the phone", answeredAt, stopped);
  await until("the carrier hears the phone", () => near(call.rtp.heardHz(), PHONE_HZ));
  await until("the phone hears the carrier", () => near(sip.heardHz(), CARRIER_HZ));
  sip.hangup();
  await until("BYE at the carrier", () => call.endedBy === "bye");
});

describe("one rejection does not reject for all", () => {
  test("the phone is busy, then a browser declines, then the other answers", async () => {
    const { sip, call, rings } = await ring();
    sip.hangup();
    await sip.event("CALL_CLOSED");
    await browsers[0].ask("hangup", rings[0]);
    await browsers[0].untilEnded(rings[0]);
    assert.equal(await browsers[1].state(rings[1]), "ringing");
    assert.ok(call.statuses.every((status) => status < 200));
    await browsers[1].ask("answer", rings[1]);
    await browsers[1].untilState(rings[1], "active");
    await call.untilStatus(200);
    call.hangup();
    await browsers[1].untilEnded(rings[1]);
  });

  test("when all have declined the caller hears of it", async () => {
    const { sip, call, rings } = await ring();
    await Promise.all(browsers.map((each, at) => each.ask("hangup", rings[at])));
    assert.ok(call.statuses.every((status) => status < 200));
    sip.hangup();
    const last = await until("a final answer", () => call.responses.find((each) => each.status >= 300));
    assert.ok([486, 487].includes(last.status), String(last.status));
  });
});

test("the caller gives up: everything stops", async () => {
  const { sip, call, rings } = await ring();
  call.cancel();
  await Promise.all(browsers.map((each, at) => each.untilEnded(rings[at])));
  await sip.event("CALL_CLOSED");
  await call.untilStatus(487);
});

test("without a browser the phone rings alone", async () => {
  await Promise.all(browsers.map((each) => each.close()));
  await world.untilGone("alice");
  const sip = await world.sipPhone({ toneHz: PHONE_HZ });
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const call = await carrier.dial(world.ports.proxy, ALICE);
  await call.untilStatus(180);
  sip.answer();
  await call.untilStatus(200);
  await until("the carrier hears the phone", () => near(call.rtp.heardHz(), PHONE_HZ));
  call.hangup();
  await sip.event("CALL_CLOSED");
});
