// Carriers that do it their own way: calls without an offer, media from behind NAT.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { after, afterEach, before, test } from "node:test";
import { near } from "../lib/phone.mjs";
import { BROWSER_HZ, browserHearsOnly, CARRIER_HZ, callIds, ringing } from "../lib/talk.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
/** What a carrier behind NAT believes to be its address. */
const INSIDE = "192.0.2.55";

let world;
let phone;
before(async () => {
  world = await World.open({ carriers: { own: { latching: "any" } } });
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("an INVITE without SDP is answered with an offer, and so is a re-INVITE", async () => {
  const before = await callIds(phone);
  const sipp = await world.sipp("late-offer", { to: world.ports.proxy, number: ALICE });
  const id = await ringing(phone, before);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  await until("the second offer", () => sipp.messages().includes("CSeq: 2 ACK"));
  await phone.untilHears(id, CARRIER_HZ);
  assert.equal(await sipp.finished(), 0, sipp.errors());
  await phone.untilEnded(id);
});

test("who does not answer our offer in the ACK is hung up on", async () => {
  const before = await callIds(phone);
  const sipp = await world.sipp("late-offer-unanswered", { to: world.ports.proxy, number: ALICE });
  const id = await ringing(phone, before);
  await phone.ask("answer", id);
  assert.equal(await sipp.finished(), 0, sipp.errors());
  const ended = await phone.untilEnded(id);
  assert.equal(ended.sipCode, 488);
});

test("a carrier behind NAT is heard and hears, and nobody else can talk into its call", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ, advertised: INSIDE });
  const strangers = () => world.offhook.counter("offhook_media_datagrams_dropped", 'reason="stranger"');
  const before = await strangers();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  const [call] = carrier.calls;
  await until("the carrier hears the browser", () => near(call.rtp.heardHz(), BROWSER_HZ));
  const port = Number(/^m=audio (\d+)/m.exec(call.invite.body)[1]);
  const stranger = dgram.createSocket("udp4");
  const packet = Buffer.alloc(172, 0x80);
  for (let sequence = 0; sequence < 10; sequence += 1) {
    packet[1] = 0;
    packet.writeUInt16BE(sequence, 2);
    stranger.send(packet, port, "127.0.0.1");
  }
  await browserHearsOnly(phone, id, 700);
  stranger.close();
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await until("the strangers are counted", async () => (await strangers()) >= before + 10);
});

test("without a rule for it a carrier behind NAT is not heard", async () => {
  const strict = await World.open();
  const listener = await strict.loggedIn();
  await strict.carrier({ toneHz: CARRIER_HZ, advertised: INSIDE });
  const id = await listener.call("+491000");
  await listener.untilState(id, "active");
  await throughout("silence", async () => !near(await listener.ask("heardHz", id), CARRIER_HZ), 1_500);
  await strict.close();
});
