// Transfers, blind and attended: by a carrier that takes REFER, here where it does not, and those that carriers ask for;
// who hears whom afterwards, and that nothing is left. The far end's hold, as both SDKs show it. R70.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { directionOf } from "../lib/carrier.mjs";
import { USERS } from "../lib/config.mjs";
import { near } from "../lib/phone.mjs";
import { header } from "../lib/sip.mjs";
import { Softphone } from "../lib/softphone.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const BROWSER_HZ = 700;
const FIRST = { number: "+491000", hz: 440 };
const SECOND = { number: "+491001", hz: 520 };

let world;
let phone;
before(async () => {
  world = await World.open({ vsp: { "transfers.from_far_end": "any" } });
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A carrier at both numbers, each with a tone of its own; the second one rings until the test decides. */
function startCarrier(options = {}) {
  return world.carrier({
    toneHz: (number) => (number.endsWith("1") ? SECOND.hz : FIRST.hz),
    script: (call) => {
      call.ring();
      if (!call.number.endsWith("1")) call.answer();
    },
    ...options,
  });
}

async function talk(carrier, { number, hz } = FIRST) {
  const id = await phone.call(number);
  const call = await until("the call at the carrier", () =>
    carrier.calls.findLast((each) => `+${each.number}` === number && each.endedBy === null),
  );
  if (call.answeredAt === null) call.answer();
  await phone.untilState(id, "active");
  await phone.untilHears(id, hz);
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  return { id, call };
}

const calledSecond = (carrier) =>
  until("the new party's INVITE", () => carrier.calls.find((call) => call.number.endsWith("1")));

/** What the app is told of a transfer: states in order. */
async function news(id, kind = "transfer") {
  const { notifications } = await phone.records();
  return notifications
    .filter(({ callId, params }) => callId === id && params.eventData?.kind === kind)
    .map(({ params }) => params.eventData);
}

const untilNews = (id, state, kind) =>
  until(`the app hears ${state}`, async () => (await news(id, kind)).find((each) => each.state === state));

async function bothHear(one, other) {
  await until("the first hears the second", () => near(one.rtp.heardHz(), SECOND.hz));
  await until("the second hears the first", () => near(other.rtp.heardHz(), FIRST.hz));
}

/** The gauge of calls that talk without a client. */
async function connected() {
  const gauges = await world.offhook.gauges();
  return Object.entries(gauges).find(([name]) => name.includes("vsp_calls_connected"))[1];
}

async function nothingLeft() {
  await until("no call and no port is left", async () => {
    const gauges = Object.entries(await world.offhook.gauges());
    const held = gauges.filter(([name]) => /vsp_calls|media_sessions|rtp_ports/.test(name));
    return held.length > 1 && held.every(([, count]) => count === 0);
  });
}

async function hangUpOne(one, other) {
  one.hangup();
  await until("BYE for the other one", () => other.endedBy === "bye");
  await nothingLeft();
}

test("a carrier that takes REFER makes the transfer itself", async () => {
  const carrier = await startCarrier({ refer: "take" });
  const { id, call } = await talk(carrier);
  await phone.ask("modify", id, { action: "transfer", destination: SECOND.number });
  const ended = await phone.untilEnded(id);
  assert.equal(ended.sipReason, "Transferred");
  assert.match(header(call.refers[0], "refer-to"), /sip:\+?491001@/);
  assert.equal((await news(id)).at(-1).state, "done");
  await until("BYE at the carrier", () => call.endedBy === "bye");
  assert.equal(carrier.calls.length, 1, "we call nobody");
  await nothingLeft();
});

test("attended, a carrier that takes REFER: it is told which call its new one replaces", async () => {
  const carrier = await startCarrier({ refer: "take" });
  const first = await talk(carrier);
  await phone.ask("hold", first.id);
  const second = await talk(carrier, SECOND);
  await phone.ask("modify", first.id, { action: "replace", replaceCallID: second.id });
  assert.equal((await phone.untilEnded(first.id)).sipReason, "Transferred");
  const to = decodeURIComponent(header(first.call.refers[0], "refer-to"));
  assert.match(to, new RegExp(`Replaces=${second.call.sipCallId};to-tag=.+;from-tag=.+`));
  assert.equal(second.call.reinvites.length, 0, "we move nobody");
  second.call.hangup();
  await phone.untilEnded(second.id);
  await nothingLeft();
});

test("blind, the carrier refuses REFER: both far parties hear each other, and the browser is out", async () => {
  const carrier = await startCarrier({ refer: [603, "Decline"] });
  const { id, call } = await talk(carrier);
  await phone.ask("modify", id, { action: "transfer", destination: SECOND.number });
  const target = await calledSecond(carrier);
  await untilNews(id, "trying");
  assert.equal(await phone.state(id), "active", "the client has its call until then");
  await until("ringback in place of the browser", () => {
    const hz = call.rtp.heardHz();
    return hz !== null && !near(hz, BROWSER_HZ) && call.rtp.heardLevel() > 500;
  });
  target.answer();
  const ended = await phone.untilEnded(id);
  assert.deepEqual([ended.cause, ended.sipReason], ["NORMAL_CLEARING", "Transferred"]);
  assert.equal((await news(id)).at(-1).state, "done");
  await bothHear(call, target);
  await until("one call without a client", async () => (await connected()) === 1);
  assert.match(header(target.invite, "referred-by"), /alice@/);
  await hangUpOne(target, call);
});

test("blind, while the far party is on hold: it is taken back", async () => {
  const carrier = await startCarrier();
  const { id, call } = await talk(carrier);
  await phone.ask("hold", id);
  assert.equal(directionOf(call.reinvites.at(-1).body), "sendonly");
  await phone.ask("modify", id, { action: "transfer", destination: SECOND.number });
  const target = await calledSecond(carrier);
  target.answer();
  await phone.untilEnded(id);
  await until("the hold is over", () => directionOf(call.reinvites.at(-1).body) === "sendrecv");
  await bothHear(call, target);
  await hangUpOne(call, target);
});

test("blind to somebody who is busy: the client still has its call, and hears why", async () => {
  const carrier = await startCarrier();
  const { id, call } = await talk(carrier);
  await phone.ask("modify", id, { action: "transfer", destination: SECOND.number });
  const target = await calledSecond(carrier);
  target.reject(486, "Busy Here");
  assert.equal((await untilNews(id, "failed")).sipCode, 486);
  assert.equal(await phone.state(id), "active");
  await until("the carrier hears the browser again", () => near(call.rtp.heardHz(), BROWSER_HZ));
  await phone.untilHears(id, FIRST.hz);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await nothingLeft();
});

test("attended, the carrier refuses REFER: the two calls become one", async () => {
  const carrier = await startCarrier();
  const first = await talk(carrier);
  await phone.ask("hold", first.id);
  const second = await talk(carrier, SECOND);
  await phone.ask("modify", first.id, { action: "replace", replaceCallID: second.id });
  for (const { id } of [first, second]) {
    assert.equal((await phone.untilEnded(id)).sipReason, "Transferred");
  }
  assert.match(header(first.call.refers[0], "refer-to"), /Replaces=/);
  await bothHear(first.call, second.call);
  assert.deepEqual([first.call.endedBy, second.call.endedBy], [null, null]);
  await until("one call without a client", async () => (await connected()) === 1);
  await hangUpOne(first.call, second.call);
});

test("our SDK: blind and attended, with what it tells the app", async () => {
  const own = await world.ownPhone();
  await own.logIn("alice");
  for (const attended of [false, true]) {
    const carrier = await startCarrier();
    const id = await own.call(FIRST.number);
    await own.untilState(id, "active");
    const [call] = carrier.calls;
    let to = SECOND.number;
    if (attended) {
      to = await own.call(SECOND.number);
      (await calledSecond(carrier)).answer();
      await own.untilState(to, "active");
    }
    await own.ask("transfer", id, to);
    const other = await calledSecond(carrier);
    if (!attended) other.answer();
    await own.untilState(id, "destroy");
    const told = await own.page.evaluate(() => window.own.transfers);
    const last = told.filter((each) => each.id === id).at(-1);
    assert.deepEqual([last.by, last.state, last.sipCode], ["us", "done", 200]);
    await bothHear(call, other);
    await hangUpOne(call, other);
    await world.closeCarriers();
  }
  await own.close();
});

test("the softphone hands a call over, and shows a hold of the far end", async () => {
  const carrier = await startCarrier();
  const softphone = await Softphone.open(await world.browser(), world.host.replace("ws:", "http:"), {
    permissions: ["microphone"],
  });
  const { page } = softphone;
  // The log is folded up on a phone.
  const inLog = { state: "attached" };
  await softphone.signIn("alice", USERS.alice);
  await softphone.dial(FIRST.number);
  await softphone.card("active");
  const [call] = carrier.calls;
  await call.reinvite("sendonly");
  await page.getByText("The far end has put you on hold.").first().waitFor(inLog);
  await call.reinvite("sendrecv");
  await page.getByText("The far end has taken you back.").first().waitFor(inLog);
  await page.getByRole("button", { name: "Transfer" }).click();
  await page.getByLabel("Transfer to").fill(SECOND.number);
  await page.getByRole("button", { name: "Hand over" }).click();
  const target = await calledSecond(carrier);
  await page.getByText("They are being handed over.").first().waitFor(inLog);
  target.answer();
  await page.getByText("Handed over.", { exact: true }).waitFor(inLog);
  await bothHear(call, target);
  await hangUpOne(target, call);
  assert.deepEqual(softphone.problems, []);
  await softphone.close();
});

test("C13: a carrier sends the client to somebody else: the browser keeps its media and is shown whom", async () => {
  const carrier = await startCarrier();
  const { id, call } = await talk(carrier);
  const before = await phone.ask("sdp", id, "remote");
  const by = "Referred-By: <sip:boss@carrier.example>";
  assert.equal((await call.refer("sip:+491001@carrier.example", [by])).status, 202);
  const target = await calledSecond(carrier);
  assert.equal(header(target.invite, "referred-by"), "<sip:boss@carrier.example>");
  target.answer();
  await phone.untilHears(id, SECOND.hz);
  await until("the new party hears the browser", () => near(target.rtp.heardHz(), BROWSER_HZ));
  await until("BYE for the old one", () => call.endedBy === "bye");
  assert.deepEqual([await phone.state(id), await phone.ask("sdp", id, "remote")], ["active", before]);
  await untilNews(id, "done", "farTransfer");
  const { notifications } = await phone.records();
  const shown = notifications.find(({ type, callId }) => type === "participantData" && callId === id);
  assert.match(shown.params.displayNumber, /491001/);
  const told = () => call.notifies.map(({ body }) => /^SIP\/2.0 (\d+)/.exec(body)[1]);
  await until("the referrer hears the end", () => told().at(-1) === "200");
  assert.equal(told()[0], "100");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("BYE for the new one", () => target.endedBy === "bye");
  await nothingLeft();
});

test("a carrier sends the client to somebody who does not answer: the call stays as it was", async () => {
  const carrier = await startCarrier();
  const { id, call } = await talk(carrier);
  assert.equal((await call.refer("sip:+491001@carrier.example")).status, 202);
  (await calledSecond(carrier)).reject(480, "Temporarily Unavailable");
  await until("the referrer hears so", () => call.notifies.at(-1)?.body.startsWith("SIP/2.0 480"));
  await phone.untilHears(id, FIRST.hz);
  for (const [to, status] of [
    ["https://carrier.example/", 416],
    ["sip:+491001@carrier.example;method=BYE", 501],
    ["sip:+491001@carrier.example?Route=%3Csip%3Ax%3E", 400],
    ["sip:alice@carrier.example", 482],
  ]) {
    assert.equal((await call.refer(to)).status, status, to);
  }
  assert.equal(await phone.state(id), "active");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await nothingLeft();
});

test("blind, with VSP, proxy and gateway as processes of their own", async () => {
  const three = await World.openThree();
  try {
    const toneHz = (number) => (number.endsWith("1") ? SECOND.hz : FIRST.hz);
    const carrier = await three.carrier({ toneHz });
    const tab = await three.loggedIn();
    const id = await tab.call(FIRST.number);
    await tab.untilState(id, "active");
    await tab.untilHears(id, FIRST.hz);
    await tab.ask("modify", id, { action: "transfer", destination: SECOND.number });
    assert.equal((await tab.untilEnded(id)).sipReason, "Transferred");
    const [call, target] = carrier.calls;
    await bothHear(call, target);
    target.hangup();
    await until("BYE for the other one", () => call.endedBy === "bye");
  } finally {
    await three.close();
  }
});

test("R70: the far end's hold is told to both SDKs, answered recvonly, and inactive is answered inactive", async () => {
  const carrier = await startCarrier();
  const { id, call } = await talk(carrier);
  const own = await world.ownPhone();
  await own.logIn("bob");
  const ownId = await own.call(FIRST.number);
  await own.untilState(ownId, "active");
  const ownCall = carrier.calls.at(-1);
  for (const [direction, answer] of [
    ["sendonly", "recvonly"],
    ["sendrecv", "sendrecv"],
    ["inactive", "inactive"],
    ["sendrecv", "sendrecv"],
  ]) {
    for (const each of [call, ownCall]) {
      const response = await each.reinvite(direction);
      assert.deepEqual([response.status, directionOf(response.body)], [200, answer]);
    }
  }
  await until("the app heard it all", async () => (await phone.farHolds(id)).length === 4);
  assert.deepEqual(await phone.farHolds(id), ["held", "active", "held", "active"]);
  const ownHolds = await until("and the one with our SDK", async () => {
    const holds = await own.page.evaluate(() => window.own.farHolds.map(({ held }) => held));
    return holds.length === 4 && holds;
  });
  assert.deepEqual(ownHolds, [true, false, true, false]);
  assert.equal(await phone.state(id), "active", "it is not our hold");
  await own.hangup(ownId);
  await own.close();
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
});
