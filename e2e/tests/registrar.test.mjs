// Users who are accounts at a registrar elsewhere: a real Kamailio, here one for alice and another for bob.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { headers, uriOf } from "../lib/sip.mjs";
import { startKamailio } from "../lib/kamailio.mjs";
import { freePort } from "../lib/ports.mjs";
import { RawClient } from "../lib/raw.mjs";
import { bothHear, callIds as seen, CARRIER_HZ, hangUp, ringing } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

/** What alice's registrar grants at most, seconds; refreshed well before. */
const GRANTED_S = 8;
/** Its nonces end before that. */
const NONCE_S = 1;
/** What bob's registrar wants to be asked for at least, seconds. */
const ASKED_MIN_S = 90;
const GRACE_S = 2;

let world;
/** Alice's registrar and bob's. */
let one;
let two;
let phone;
before(async () => {
  const [first, second] = [await freePort(), await freePort()];
  const account = (domain, address, username, password) => ({
    domain,
    address,
    username,
    password,
    expires_s: 60,
  });
  world = await World.open({
    vsp: { reattach_grace_s: GRACE_S },
    users: {
      alice: { register: account("one.example.net", `127.0.0.1:${first}`, "1001", "one-secret") },
      bob: { register: account("two.example.net", `127.0.0.2:${second}`, "2002", "two-secret") },
    },
    sections: [
      "[[user]]",
      'name = "carol"',
      'password = "carol-secret"',
      `register = { domain = "one.example.net", address = "127.0.0.1:${first}", username = "1003", password = "wrong" }`,
    ],
  });
  const carrier = world.ports.carriers.own;
  one = await startKamailio({
    ...{ port: first, domain: "one.example.net", carrier, grantedMaxS: GRANTED_S, nonceS: NONCE_S },
    accounts: { 1001: "one-secret", 1003: "three-secret" },
  });
  two = await startKamailio({
    ...{ host: "127.0.0.2", port: second, domain: "two.example.net", carrier },
    ...{ algorithm: "SHA-256", askedMinS: ASKED_MIN_S },
    accounts: { 2002: "two-secret" },
  });
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(async () => {
  await world?.close();
  await Promise.all([one?.stop(), two?.stop()]);
});

/** A client without an SDK, for it asks as often as a test wants. */
async function raw(login, password) {
  const client = await RawClient.open(world.host);
  await client.logIn(login, password);
  return client;
}

async function state(client) {
  const answer = await client.request("telnyx_rtc.gatewayState");
  return answer.result.params.state;
}

/** A call from Kamailio's carrier to alice's account; both hear each other, the carrier hangs up. */
async function calledThroughKamailio() {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const known = await seen(phone);
  const call = await carrier.dial(one.port, "1001");
  const id = await ringing(phone, known);
  await call.untilStatus(180);
  await phone.ask("answer", id);
  await phone.untilState(id, "active");
  await call.untilStatus(200);
  await bothHear(phone, id, call);
  call.hangup();
  await phone.untilEnded(id);
}

/** A call of the browser's that goes through `kamailio`; gives what its carrier got. */
async function callsThrough(kamailio, browser) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const id = await browser.call("4930123456");
  await browser.untilState(id, "active");
  const [call] = carrier.calls;
  await bothHear(browser, id, call);
  await hangUp(browser, id, call);
  const [route] = headers(call.invite, "record-route");
  assert.ok(uriOf(route).includes(kamailio.address), `${route} is not by ${kamailio.address}`);
  return call;
}

test("registered with a digest (MD5, qop=auth); the SDK is ready; calls go to our contact", async () => {
  const { detail } = await one.untilDecision("1001", "proven");
  assert.match(detail, /algorithm=MD5\b/);
  assert.match(detail, /qop=auth\b/);
  assert.match(detail, /nc=00000001\b/);
  assert.equal(one.requests("1001", "challenged"), 1);
  const contact = await one.contact("1001");
  assert.equal(contact.uri, `sip:alice@127.0.0.1:${world.ports.vspSip}`);
  assert.ok(contact.expires <= GRANTED_S, "the registrar has the last word");
  assert.ok((await phone.records()).ready > 0);
});

test("refreshed before it ends, with a stale nonce answered anew: it is never gone", async () => {
  const saved = one.of("1001", "saved").length;
  const stale = one.of("1001", "stale").length;
  await until(
    "two refreshes",
    async () => {
      assert.ok(await one.contact("1001"), "the contact is gone");
      return one.of("1001", "saved").length >= saved + 2;
    },
    8 * GRANTED_S * 1_000,
  );
  assert.ok(one.of("1001", "stale").length >= stale + 2);
  assert.equal(one.of("1001", "unproven").length, 0);
});

test("423: the lifetime that the registrar wants is asked for; SHA-256; another registrar for another user", async () => {
  const bob = await world.loggedIn("bob");
  const brief = await two.untilDecision("2002", "too-brief");
  assert.equal(brief.detail, "60");
  const saved = await two.untilDecision("2002", "saved");
  assert.equal(saved.detail, String(ASKED_MIN_S));
  assert.match(two.of("2002", "proven")[0].detail, /algorithm=SHA-256\b/);
  assert.equal((await two.contact("2002")).uri, `sip:bob@127.0.0.1:${world.ports.vspSip}`);
  await callsThrough(two, bob);
  await bob.close();
  await two.untilDecision("2002", "removed");
  assert.equal(await two.contact("2002"), null, "logged out: gone at the registrar");
});

test("called through the registrar: it rings in the browser, both hear each other", () =>
  calledThroughKamailio());

test("a call goes through the registrar, which asks for a digest", async () => {
  const call = await callsThrough(one, phone);
  assert.match(call.header("from"), /sip:1001@one\.example\.net/);
  const [proof] = one.of("1001", "proven").filter((each) => each.method === "INVITE");
  assert.match(proof.detail, /username="1001"/);
  assert.equal(call.header("proxy-authorization"), "");
});

test("C6: a wrong password is told (FAILED), to the SDK as well, and not tried again and again", async () => {
  const client = await raw("carol", "carol-secret");
  assert.equal(await state(client), "FAILED");
  assert.equal(one.requests("1003", "unproven"), 1);
  const carol = await world.phone();
  await carol.connect({ login: "carol", password: "carol-secret", autoReconnect: false });
  await until("the app is told", async () =>
    (await carol.records()).errors.some(({ code }) => code >= 45_003),
  );
  assert.equal((await carol.records()).ready, 0);
  assert.equal(one.requests("1003", "unproven"), 1);
  await carol.close();
  client.close();
});

test("a registrar that fails: told once the binding is over; registered again by itself, and told", async () => {
  const client = await raw("alice", "alice-secret");
  assert.equal(await state(client), "REGED");
  await one.refuse(503);
  await one.untilDecision("1001", "refused");
  assert.equal(await state(client), "REGED", "the binding still brings calls");
  await until("it is told", async () => (await state(client)) === "FAIL_WAIT", 8 * GRANTED_S * 1_000);
  const told = () => client.frames.filter(({ result }) => result?.params?.state === "REGED").length;
  const before = told();
  await one.refuse(0);
  const saved = one.of("1001", "saved").length;
  await one.untilDecision("1001", "saved", saved);
  await until("it is told unasked", () => told() > before);
  client.close();
});

test("a registrar that is restarted has forgotten us: registered again by itself, and called", async () => {
  await one.halt();
  const saved = one.of("1001", "saved").length;
  await one.start();
  await one.untilDecision("1001", "saved", saved);
  assert.ok(await one.contact("1001"));
  await calledThroughKamailio();
});

test("C6: a registrar that is down: not registered is told (NOREG); found again when it is back", async () => {
  const client = await raw("alice", "alice-secret");
  await one.halt();
  await until("it is told", async () => (await state(client)) === "NOREG", 8 * GRANTED_S * 1_000);
  await one.start();
  await until("registered again", async () => (await state(client)) === "REGED");
  assert.ok(await one.contact("1001"));
  client.close();
  await calledThroughKamailio();
});

test("draining takes the account out at its registrar", async () => {
  assert.ok(await one.contact("1001"));
  const removed = one.of("1001", "removed").length;
  await world.offhook.stop();
  await one.untilDecision("1001", "removed", removed);
  assert.equal(await one.contact("1001"), null);
});
