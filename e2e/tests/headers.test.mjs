// What passes between app and carrier beside the media: headers, names, caller ids, digits, client state. C11, C12, R53 to R56.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { header } from "../lib/sip.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const HEADERS_MAX = 16;

let world;
let phone;
before(async () => {
  world = await World.open({ vsp: { headers_allowed: ["User-to-User"] } });
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call of alice's that is up: `{ id, call }`, `call` at the carrier; `extra` are lines of the carrier's answer. */
async function talk(options = {}, extra = []) {
  const carrier = await world.carrier({
    script: (call) => {
      call.ring();
      call.answer(extra);
    },
  });
  const id = await phone.call("+491000", options);
  await phone.untilState(id, "active");
  await until("ACK at the carrier", () => carrier.calls[0].acknowledged);
  return { id, call: carrier.calls[0], carrier };
}

/** A call to alice that rings: `{ id, call, invite }`, `invite` as the browser got it. */
async function ring(options = {}) {
  await world.closeCarriers();
  const known = new Set((await phone.records()).states.map((each) => each.id));
  const carrier = await world.carrier();
  const call = await carrier.dial(world.ports.proxy, ALICE, options);
  const { id } = await until("it rings in the browser", async () =>
    (await phone.records()).states.find((each) => each.state === "ringing" && !known.has(each.id)),
  );
  const [invite] = await phone.told("invite", id);
  return { id, call, invite };
}

async function end(id) {
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
}

function named(message, name) {
  return message.headers.filter((each) => each.name === name).map((each) => each.value);
}

describe("C11: headers from the app to the carrier", () => {
  test("X-… and those of the allow-list stand in the INVITE, in order, with their duplicates", async () => {
    const { id, call } = await talk({
      customHeaders: [
        { name: "X-One", value: "1" },
        { name: "User-to-User", value: "56a390f3;encoding=hex" },
        { name: "X-Two", value: "a" },
        { name: "X-Two", value: "b" },
        { name: "Subject", value: "nobody allows this" },
      ],
    });
    assert.deepEqual(named(call.invite, "x-one"), ["1"]);
    assert.deepEqual(named(call.invite, "x-two"), ["a", "b"]);
    assert.deepEqual(named(call.invite, "user-to-user"), ["56a390f3;encoding=hex"]);
    assert.deepEqual(named(call.invite, "subject"), []);
    await end(id);
  });

  test("those of the hang-up stand in the BYE, and those of the INVITE are not said again", async () => {
    const { id, call, carrier } = await talk({ customHeaders: [{ name: "X-Ticket", value: "8812" }] });
    const customHeaders = [{ name: "X-Wrap-Up", value: "solved" }];
    await phone.ask("hangup", id, { dialogParams: { customHeaders } });
    await phone.untilEnded(id);
    await until("BYE at the carrier", () => call.endedBy === "bye");
    const [bye] = carrier.requests("BYE");
    assert.deepEqual(named(bye, "x-wrap-up"), ["solved"]);
    assert.deepEqual(named(bye, "x-ticket"), []);
  });

  test("those of the answer stand in the 200", async () => {
    const { id, call } = await ring();
    await phone.ask("answer", id, { customHeaders: [{ name: "X-Desk", value: "3" }] });
    const answer = await call.untilStatus(200);
    assert.deepEqual(named(answer, "x-desk"), ["3"]);
    await end(id);
  });

  for (const [what, customHeaders, reason] of [
    ["a Route", [{ name: "Route", value: "<sip:192.0.2.1;lr>" }], /header "Route"/],
    ["a Contact", [{ name: "Contact", value: "<sip:evil@192.0.2.1>" }], /header "Contact"/],
    ["a short name", [{ name: "v", value: "SIP/2.0/UDP 192.0.2.1" }], /header "v"/],
    ["one of ours", [{ name: "X-Offhook-Call-Id", value: "1" }], /header "X-Offhook-Call-Id"/],
    ["a line break", [{ name: "X-Good", value: "1\r\nX-Evil: 1" }], /header "X-Good"/],
    ["a value without end", [{ name: "X-Long", value: "x".repeat(5_000) }], /header "X-Long"/],
    [
      "too many",
      Array.from({ length: HEADERS_MAX + 1 }, (_, i) => ({ name: `X-${i}`, value: "1" })),
      /at most 16 custom headers/,
    ],
  ]) {
    test(`${what} is refused by name, and nothing reaches the carrier`, async () => {
      const carrier = await world.carrier();
      const id = await phone.call("+491000", { customHeaders });
      const { sipCode, sipReason } = await phone.untilEnded(id);
      assert.equal(sipCode, 400);
      assert.match(sipReason, reason);
      assert.equal(carrier.calls.length, 0);
    });
  }
});

describe("C11: headers from the carrier to the app", () => {
  const LINES = ["X-Queue: support", "User-to-User: 01", "Subject: nobody allows this", "X-Offhook-Evil: 1"];
  const SEEN = [
    { name: "X-Queue", value: "support" },
    { name: "User-to-User", value: "01" },
  ];

  test("of an INVITE", async () => {
    const { id, call } = await ring({ headers: LINES });
    assert.deepEqual((await phone.look(id)).headers, SEEN);
    await phone.ask("hangup", id);
    await call.untilStatus(487);
  });

  test("of the answer", async () => {
    const { id } = await talk({}, LINES);
    const [answer] = await phone.told("answer", id);
    assert.deepEqual(answer.dialogParams.custom_headers, SEEN);
    await end(id);
  });

  test("of the BYE, in both spellings", async () => {
    const { id, call } = await talk();
    call.hangup(LINES);
    await phone.untilEnded(id);
    const [bye] = await phone.told("bye", id);
    assert.deepEqual(bye.dialogParams, { custom_headers: SEEN, customHeaders: SEEN });
  });
});

describe("names and numbers", () => {
  test("names in any script, both ways", async () => {
    const callerName = "Jürgen Ömer 電話 🎧";
    const { id, call } = await talk({ callerName });
    assert.ok(call.header("from").startsWith(`"${callerName}"`), call.header("from"));
    await end(id);
    const inbound = await ring({ name: "Zoë Лев" });
    assert.equal((await phone.look(inbound.id)).remoteName, "Zoë Лев");
    await end(inbound.id);
  });

  test("a user shows its own numbers and no others", async () => {
    const own = await talk({ callerNumber: ALICE });
    assert.match(own.call.header("from"), /<sip:\+15550105@/);
    await end(own.id);
    await world.closeCarriers();
    const other = await talk({ callerNumber: "+49110" });
    assert.match(other.call.header("from"), /<sip:\+15550105@/);
    await end(other.id);
  });

  test("who does not want to be seen is anonymous to the carrier, and asks for privacy", async () => {
    const { id, call } = await talk({ callerNumber: "anonymous", callerName: "Alice" });
    assert.match(call.header("from"), /anonymous@anonymous\.invalid/);
    assert.doesNotMatch(call.invite.raw, /15550105|Alice/);
    assert.match(call.header("privacy") ?? "", /id/);
    await end(id);
  });
});

describe("C12: ids and client state", () => {
  test("call-control, session and leg id on invite, ringing and answer; sip_call_id on bye", async () => {
    const { id, call } = await talk();
    const [ringing] = await phone.told("ringing", id);
    const [answer] = await phone.told("answer", id);
    const ids = ({ telnyx_call_control_id, telnyx_session_id, telnyx_leg_id }) => [
      telnyx_call_control_id,
      telnyx_session_id,
      telnyx_leg_id,
    ];
    assert.ok(ids(ringing).every((each) => typeof each === "string" && each !== ""));
    assert.deepEqual(ids(answer), ids(ringing));
    const { ids: known } = await phone.look(id);
    assert.deepEqual([known.telnyxCallControlId, known.telnyxSessionId, known.telnyxLegId], ids(ringing));
    call.hangup();
    const { sipCallId } = await phone.untilEnded(id);
    assert.equal(sipCallId, header(call.invite, "call-id"));
    const inbound = await ring();
    assert.ok(ids(inbound.invite).every((each) => typeof each === "string" && each !== ""));
    await end(inbound.id);
  });

  test("client state goes out with the INVITE, comes in with one, and comes back with the end", async () => {
    const clientState = Buffer.from('{"order":7}').toString("base64");
    const { id, call } = await talk({ clientState });
    assert.equal(call.header("x-client-state"), clientState);
    call.hangup();
    await phone.untilEnded(id);
    const [bye] = await phone.told("bye", id);
    assert.equal(bye.client_state, clientState);
    const inbound = await ring({ headers: [`X-Client-State: ${clientState}`] });
    assert.equal(inbound.invite.client_state, clientState);
    assert.equal((await phone.look(inbound.id)).clientState, clientState);
    await end(inbound.id);
  });
});

describe("digits from the carrier reach the app, each once", () => {
  async function digits(id) {
    return (await phone.told("info", id)).map((params) => params.dtmf).join("");
  }

  for (const [how, send] of [
    ["as telephone-event", (call, digit) => call.rtp.sendDigit(digit)],
    ["by INFO", (call, digit) => call.digitByInfo(digit)],
  ]) {
    test(how, async () => {
      const { id, call } = await talk();
      for (const digit of "7#7") {
        const before = (await digits(id)).length;
        send(call, digit);
        await until(`${digit} in the browser`, async () => (await digits(id)).length > before);
      }
      await throughout("no digit twice", async () => (await digits(id)) === "7#7", 500);
      await end(id);
    });
  }
});
