// Whom browsers and carriers see that they talk with, once a transfer has connected them with somebody else. C13.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { CALLER_NUMBER } from "../lib/caller.mjs";
import { USERS } from "../lib/config.mjs";
import { header } from "../lib/sip.mjs";
import { Softphone } from "../lib/softphone.mjs";
import { callIds, CARRIER_HZ, carrierHears, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";
const BOB = "+15550103";
const NAME = "Carol Caller";
/** The caller's switch takes no REFER, so that the transfer is made here, and hears by UPDATE whom it talks with. */
const ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, UPDATE";

let world;
let alice;
before(async () => {
  world = await World.open({ carriers: { own: { trusted: true } } });
  alice = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** Somebody has called alice and is being handed over to bob, at whom it rings: `{ carrier, call, id }`. */
async function handOver() {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const known = await callIds(alice);
  const call = await carrier.dial(world.ports.proxy, ALICE, { headers: [ALLOW], name: NAME });
  const id = await ringing(alice, known);
  await alice.ask("answer", id);
  await alice.untilState(id, "active");
  await alice.untilHears(id, CARRIER_HZ);
  await alice.ask("modify", id, { action: "transfer", destination: BOB });
  return { carrier, call, id };
}

/** Bob has answered: alice is out, and the caller has been told of him. */
async function handedOver({ carrier, call, id }) {
  assert.equal((await alice.untilEnded(id)).sipReason, "Transferred");
  const [told] = await until("the caller's switch hears of bob", () => {
    const updates = carrier.requests("UPDATE");
    return updates.length > 0 && updates;
  });
  assert.match(header(told, "p-asserted-identity"), /^<sip:\+15550103@/);
  assert.equal(call.endedBy, null);
}

test("C13: the public SDK says in a notification who was handed over to its user", async () => {
  const bob = await world.loggedIn("bob");
  const transfer = await handOver();
  const id = await ringing(bob);
  assert.equal((await bob.look(id)).remoteNumber, ALICE, "until then alice calls");
  await bob.ask("answer", id);
  const shown = await until("the app hears who it is", async () =>
    (await bob.records()).notifications.find(({ type }) => type === "participantData"),
  );
  assert.deepEqual(
    [shown.callId, shown.params.displayName, shown.params.displayNumber],
    [id, NAME, CALLER_NUMBER],
  );
  await handedOver(transfer);
  await bob.untilHears(id, CARRIER_HZ);
  await carrierHears(transfer.call);
  transfer.call.hangup();
  await bob.untilEnded(id);
  await bob.close();
});

test("our own SDK gives name and number of who was handed over to its user", async () => {
  const bob = await world.ownPhone();
  await bob.logIn("bob");
  const transfer = await handOver();
  const id = await until("it rings", () => bob.ask("ringing"));
  assert.deepEqual(await bob.ask("far", id), { name: "", number: ALICE });
  await bob.ask("answer", id);
  await handedOver(transfer);
  await until("the app sees who it is", async () => (await bob.ask("far", id)).name === NAME);
  assert.deepEqual(await bob.ask("far", id), { name: NAME, number: CALLER_NUMBER });
  transfer.call.hangup();
  await bob.untilState(id, "destroy");
  await bob.close();
});

test("the softphone writes the name of who was handed over on the card of the call", async () => {
  const permissions = ["microphone"];
  const softphone = await Softphone.open(await world.browser(), world.host.replace("ws:", "http:"), {
    permissions,
  });
  await softphone.signIn("bob", USERS.bob);
  const transfer = await handOver();
  await softphone.page.getByRole("heading", { name: ALICE }).waitFor();
  await softphone.page.getByRole("button", { name: "Answer" }).click();
  await softphone.page.getByRole("heading", { name: NAME }).waitFor();
  await softphone.page.getByText(`${CALLER_NUMBER} · inbound`).waitFor();
  await handedOver(transfer);
  transfer.call.hangup();
  await softphone.card("destroy");
  assert.deepEqual(softphone.problems, []);
  await softphone.close();
});
