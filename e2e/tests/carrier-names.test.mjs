// Carriers that have a name: found by NAPTR and SRV, tried in order, followed when they move (RFC 3263).
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { startDns } from "../lib/dns.mjs";
import { freePort } from "../lib/ports.mjs";
import { carrierHears, hangUp } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const TTL_S = 1;
const NAMED = "sip:carrier.test";

let dns;
let world;
let phone;
let ports;
before(async () => {
  ports = { first: await freePort(), second: await freePort(), moved: await freePort() };
  dns = await startDns(zone([10, ports.first], [20, ports.second]));
  world = await World.open({
    sipProxy: { name_servers: [dns.address] },
    carriers: { own: { uri: NAMED } },
  });
  phone = await world.loggedIn();
  await untilLocated(1);
});
afterEach(() => world.closeCarriers());
after(async () => {
  await world?.close();
  await dns?.close();
});

/** Servers as `[priority, port]`, all on loopback. */
function zone(...servers) {
  const naptr = (order, service, replacement) => ({ order, service, replacement, ttl: TTL_S });
  return {
    "NAPTR carrier.test": [
      naptr(10, "SIPS+D2T", "_sips._tcp.carrier.test"),
      naptr(20, "SIP+D2U", "_calls.carrier.test"),
    ],
    "SRV _calls.carrier.test": servers.map(([priority, port]) => ({
      ...{ priority, weight: 1, port, ttl: TTL_S },
      target: "gateway.carrier.test",
    })),
    "A gateway.carrier.test": [{ address: "127.0.0.1", ttl: TTL_S }],
  };
}

function untilLocated(times) {
  const resolved = /carrier's host name is resolved/;
  return until(
    "the carrier is found",
    () => world.offhook.log.filter((line) => resolved.test(line)).length >= times,
  );
}

/** A call of the browser's that `carrier` gets. */
async function callTo(carrier) {
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const call = carrier.calls.at(-1);
  await carrierHears(call);
  await hangUp(phone, id, call);
  return call;
}

test("NAPTR leads to SRV, SRV to the server of the first priority", async () => {
  const [first, second] = [
    await world.carrier({ port: ports.first }),
    await world.carrier({ port: ports.second }),
  ];
  const call = await callTo(first);
  assert.match(call.invite.uri, /@carrier\.test/);
  assert.equal(second.calls.length, 0);
  assert.ok(!dns.asked.some((question) => question.includes("_sips")));
});

test("a server that is gone: the next one of the carrier takes the call, and the one after that at once", async () => {
  const second = await world.carrier({ port: ports.second });
  await callTo(second);
  const failed = await world.offhook.counter("offhook_sip_proxy_carrier_failures_total");
  assert.equal(failed, 1);
  await callTo(second);
  assert.equal(await world.offhook.counter("offhook_sip_proxy_carrier_failures_total"), failed);
});

test("a carrier that moves is followed when what DNS said is over; a name server that fails changes nothing", async () => {
  dns.zone = zone([10, ports.moved]);
  await untilLocated(2);
  await callTo(await world.carrier({ port: ports.moved }));
  await world.closeCarriers();
  dns.zone = {};
  const asked = dns.asked.length;
  await until("it was asked again", () => dns.asked.length > asked + 3);
  await callTo(await world.carrier({ port: ports.moved }));
});
