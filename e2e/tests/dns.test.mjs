// DNS by place, asked by `dig`: which site a network is given, and how sites come and go. R12, R18, R19.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { addresses, dig, nameServer, startSite } from "../lib/dig.mjs";
import { Offhook } from "../lib/offhook.mjs";
import { freePort } from "../lib/ports.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const NAME = "rtc.example.com";
const TTL_S = 30;
// NJ1 is a real one, on this machine.
const NJ1 = "127.0.0.1";
const AMS3 = "192.0.2.2";
const FR5 = "192.0.2.3";
const CN1 = "192.0.2.4";
const EUROPE = [AMS3, FR5];

let world;
let sites;
let offhook;
let server;
before(async () => {
  world = await World.open({ drainS: 60 });
  sites = { AMS3: await startSite(), FR5: await startSite(), CN1: await startSite() };
  [offhook, server] = await startServer(configuration());
});
afterEach(() => world.closeCarriers());
after(async () => {
  await offhook.stop();
  await world.close();
  for (const site of Object.values(sites)) await site.close();
});

async function startServer(config) {
  const admin = await freePort();
  const text = `[admin]\nlisten = "127.0.0.1:${admin}"\n${config}`;
  const started = await Offhook.start({ command: "geo-dns", config: text, admin });
  return [started, await nameServer(started)];
}

/** Three regions, each with a network of loopback addresses, which resolvers can have. */
function configuration() {
  const real = `http://127.0.0.1:${world.ports.admin.up}/readyz`;
  const site = (name, address, health) => [
    "[[geo_dns.site]]",
    `name = "${name}"`,
    `addresses = ["${address}"]`,
    `health = "${health}"`,
  ];
  const region = (name, members, next, networks) => [
    "[[geo_dns.region]]",
    `name = "${name}"`,
    `sites = ${JSON.stringify(members)}`,
    `next = ${JSON.stringify(next)}`,
    `networks = ${JSON.stringify(networks)}`,
  ];
  return [
    "[geo_dns]",
    'listen = "127.0.0.1:0"',
    `zone = "${NAME}"`,
    `ttl_s = ${TTL_S}`,
    'default_region = "north-america"',
    "[geo_dns.health]",
    "interval_ms = 500",
    "timeout_ms = 10000",
    ...site("NJ1", NJ1, real),
    ...site("AMS3", AMS3, sites.AMS3.url),
    ...site("FR5", FR5, sites.FR5.url),
    ...site("CN1", CN1, sites.CN1.url),
    ...region("north-america", ["NJ1"], ["europe"], ["127.0.1.0/24", "198.51.100.0/24"]),
    ...region("europe", ["AMS3", "FR5"], ["north-america"], ["127.0.2.0/24", "80.0.0.0/4", "2a00::/11"]),
    ...region("asia-pacific", ["CN1"], ["europe"], ["127.0.3.0/24", "1.0.0.0/8", "2400::/12"]),
  ].join("\n");
}

test("R12: dig names the network of a client and is given the site of its region", async () => {
  const expected = [
    ["198.51.100.0/24", [NJ1], 24],
    ["203.0.113.0/24", [NJ1], null],
    ["80.1.2.0/24", EUROPE, 20],
    ["95.1.2.3/32", EUROPE, 20],
    ["2a00:1::/48", EUROPE, 40],
    ["1.2.3.0/24", [CN1], null],
    ["2400:1::/32", [CN1], null],
  ];
  for (const [subnet, allowed, scope] of expected) {
    for (const tcp of [false, true]) {
      const reply = await dig(server, NAME, { subnet, tcp });
      assert.equal(reply.status, "NOERROR");
      assert.equal(reply.answers.length, 1, reply.text);
      assert.ok(allowed.includes(reply.answers[0].data), `${subnet}: ${reply.text}`);
      assert.equal(reply.answers[0].ttl, TTL_S);
      if (scope !== null) assert.equal(reply.scope, scope, reply.text);
      assert.ok(reply.scope > 0, "it depends on the network");
    }
  }
});

test("R12: without a subnet the address of the resolver counts", async () => {
  for (const tcp of [false, true]) {
    assert.deepEqual(await addresses(server, NAME, { from: "127.0.1.7", tcp }), [NJ1]);
    assert.deepEqual(await addresses(server, NAME, { from: "127.0.3.7", tcp }), [CN1]);
    const [european] = await addresses(server, NAME, { from: "127.0.2.7", tcp });
    assert.ok(EUROPE.includes(european), european);
    // Who withholds the subnet of its client too; and the answer is for everybody behind it.
    const withheld = await dig(server, NAME, { from: "127.0.3.7", subnet: "0", tcp });
    assert.deepEqual([withheld.answers[0].data, withheld.scope], [CN1, 0], withheld.text);
  }
});

test("R18: resolvers of three regions ask for one name and get three addresses", async () => {
  const given = new Set();
  for (const from of ["127.0.1.1", "127.0.2.1", "127.0.3.1"]) {
    const [address] = await addresses(server, NAME, { from });
    assert.deepEqual(await addresses(server, NAME, { from }), [address], "the same each time");
    given.add(address);
  }
  assert.equal(given.size, 3);
});

test("R18: the two sites of a region share its networks", async () => {
  const given = { [AMS3]: 0, [FR5]: 0 };
  for (let at = 0; at < 40; at += 1) {
    const [address] = await addresses(server, NAME, { subnet: `80.${at}.0.0/24` });
    given[address] += 1;
  }
  assert.ok(given[AMS3] > 5 && given[FR5] > 5, JSON.stringify(given));
});

test("sites, regions and what there is not, as dig sees it", async () => {
  assert.deepEqual(await addresses(server, `cn1.${NAME}`), [CN1]);
  assert.deepEqual(await addresses(server, `asia-pacific.${NAME}`), [CN1]);
  const absent = await dig(server, `nowhere.${NAME}`, { subnet: "80.1.2.0/24" });
  assert.deepEqual([absent.status, absent.scope], ["NXDOMAIN", 0]);
  assert.deepEqual([absent.authority[0].type, absent.authority[0].ttl], ["SOA", TTL_S]);
  const noData = await dig(server, NAME, { type: "AAAA" });
  assert.deepEqual([noData.status, noData.answers.length], ["NOERROR", 0]);
  assert.equal(noData.authority[0].type, "SOA");
  const other = await dig(server, "example.org");
  assert.deepEqual([other.status, other.flags.includes("aa")], ["REFUSED", false]);
  const mixed = await dig(server, "rTc.eXaMpLe.CoM");
  assert.equal(mixed.answers[0].name, "rTc.eXaMpLe.CoM.");
  assert.ok(mixed.flags.includes("aa"));
  const any = await dig(server, NAME, { type: "ANY" });
  assert.deepEqual(
    any.answers.map(({ type }) => type),
    ["HINFO"],
  );
  // Version 1 of EDNS is told that there is version 0; FORMERR would make dig try again without EDNS.
  const version = await dig(server, NAME, { more: ["+edns=1", "+noednsnegotiation"] });
  assert.equal(version.status, "BADVERS");
});

/** Waits until a resolver in North America is no longer, or again, given NJ1: as long as an answer may be kept. */
function given(what, isGiven) {
  const asked = async () => (await addresses(server, NAME, { from: "127.0.1.1" }))[0] === NJ1;
  return until(what, async () => (await asked()) === isGiven, TTL_S * 1_000);
}

function untilLogged(words) {
  return until(`the log has ${words}`, () =>
    offhook.log.some((line) => /NJ1/.test(line) && words.test(line)),
  );
}

function untilAvailable(sites) {
  const available = () => offhook.counter("offhook_geo_dns_sites_available");
  return until(`${sites} sites are available`, async () => (await available()) === sites);
}

test("the operator drains a site, and resumes it", async () => {
  await given("NJ1 is given", true);
  const { status, body } = await offhook.adminPost("/sites/NJ1/drain");
  assert.deepEqual([status, body.standing], [200, "drained"]);
  await given("it is withdrawn", false);
  assert.equal((await offhook.admin("/sites")).sites.find(({ name }) => name === "NJ1").standing, "drained");
  await offhook.adminPost("/sites/NJ1/resume");
  await given("it is given again", true);
});

test("R18: a VSP that drains is withdrawn while its last call goes on", async () => {
  await given("NJ1 is given", true);
  const carrier = await world.carrier();
  const phone = await world.loggedIn("alice");
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  process.kill(world.offhook.pid, "SIGTERM");
  await given("it drains and is withdrawn", false);
  assert.ok(world.offhook.running, "it has a call");
  assert.equal(await phone.state(id), "active");
  const european = await addresses(server, NAME, { from: "127.0.1.1" });
  assert.ok(EUROPE.includes(european[0]), `the next region: ${european}`);
  await untilLogged(/drains/);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  assert.equal(carrier.calls.length, 1);
  await until("it leaves", () => !world.offhook.running);
});

test("R18: a VSP that is killed is withdrawn within the TTL, and comes back with it", async () => {
  await world.restart();
  await given("NJ1 is back", true);
  await untilAvailable(4);
  await world.offhook.stop("SIGKILL");
  await given("it is withdrawn", false);
  await untilLogged(/fails its checks/);
  await untilAvailable(3);
  const others = async () => (await addresses(server, NAME, { from: "127.0.3.1" }))[0] === CN1;
  await throughout("nothing changes for others", others, 300);
  await world.restart();
  await given("NJ1 is back", true);
});

test("R19: the sample configuration has NJ1; AMS3 and FR5; CN1", async () => {
  const example = readFileSync(new URL("../../offhook.example.toml", import.meta.url), "utf8");
  const section = example.slice(example.indexOf("[geo_dns]"), example.indexOf("[demo_carrier]"));
  const config = section
    .replace(/^#listen = .*$/m, 'listen = "127.0.0.1:0"')
    .replace(/^networks_file = .*$/m, "")
    .replaceAll(/^health = .*$/gm, `health = "${sites.CN1.url}"`);
  const [sample, itsServer] = await startServer(config);
  try {
    for (const [subnet, allowed] of [
      ["12.1.2.0/24", ["192.0.2.1"]],
      ["2600:1700::/32", ["192.0.2.1"]],
      ["91.1.2.0/24", EUROPE],
      ["2a01:c000::/32", EUROPE],
      ["210.130.1.0/24", [CN1]],
      ["49.32.1.0/24", [CN1]],
    ]) {
      const [address] = await addresses(itsServer, NAME, { subnet });
      assert.ok(allowed.includes(address), `${subnet}: ${address}`);
    }
    for (const [name, address] of [
      ["nj1", "192.0.2.1"],
      ["ams3", AMS3],
      ["fr5", FR5],
      ["cn1", CN1],
    ]) {
      assert.deepEqual(await addresses(itsServer, `${name}.${NAME}`), [address]);
    }
  } finally {
    await sample.stop();
  }
});
