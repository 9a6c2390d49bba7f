// R2 in packets: every datagram of a call between VSP and SIP proxy, and between SIP proxy and carrier, as somebody on the
// line sees it, not as we tell it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { header } from "../lib/sip.mjs";
import { hangUp, talk } from "../lib/talk.mjs";
import { CALL_ID_HEADER } from "../lib/trace.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const REQUESTS = ["INVITE", "ACK", "BYE"];
const RESPONSES = ["100 INVITE", "180 INVITE", "200 INVITE", "200 BYE"];
/** Each hop, downstream and back. */
const HOPS = [
  ["vsp", "sip-proxy"],
  ["sip-proxy", "own"],
];

let world;
before(async () => {
  world = await World.open({ tapped: true });
});
after(() => world.close());

const nameOf = ({ status, method }) => (status === undefined ? method : `${status} ${method}`);
const namesOn = (from, to) => world.tap.between(from, to).map(nameOf);
const branchOf = (message) => /;branch=([^;]+)/.exec(header(message, "via"))[1];

test("R2: packets captured at VSP–proxy and proxy–carrier: each message once per hop and direction, under one call id", async () => {
  const carrier = await world.carrier();
  const phone = await world.loggedIn();
  const { id, call } = await talk(phone, carrier);
  await hangUp(phone, id, call);
  await until("the last answer is at the VSP", () => namesOn("sip-proxy", "vsp").includes("200 BYE"));

  for (const [near, far] of HOPS) {
    assert.deepEqual(namesOn(near, far), REQUESTS, `${near} to ${far}`);
    assert.deepEqual(namesOn(far, near), RESPONSES, `${far} to ${near}`);
  }
  const callId = (await phone.look(id)).ids.telnyxSessionId;
  for (const [near, far] of HOPS) {
    const ids = world.tap.between(near, far).map((message) => header(message, CALL_ID_HEADER));
    assert.deepEqual(ids, [callId, callId, callId], `the id from ${near} to ${far}`);
    for (const method of ["INVITE", "BYE"]) {
      const sent = world.tap.packets.filter(
        ({ from, to, message }) =>
          from === near && to === far && message.status === undefined && message.method === method,
      );
      const branches = new Set(sent.map(({ message }) => branchOf(message)));
      assert.equal(branches.size, 1, `one transaction of ${method} from ${near} to ${far}`);
    }
  }
  // What the proxy passed on is what it got, and the carrier saw nothing beside it.
  const [atProxy] = world.tap.between("vsp", "sip-proxy");
  const [atCarrier] = world.tap.between("sip-proxy", "own");
  for (const name of ["call-id", "cseq", CALL_ID_HEADER])
    assert.equal(header(atCarrier, name), header(atProxy, name), name);
  assert.equal(atCarrier.body, atProxy.body);
  const atLine = new Set(
    world.tap.packets.filter(({ to }) => to === "own").map(({ message }) => message.raw),
  );
  assert.ok(
    carrier.received.every(({ raw }) => atLine.has(raw)),
    "nothing went past the line",
  );
  await phone.close();
});
