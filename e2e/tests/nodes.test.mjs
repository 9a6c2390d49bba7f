// Two nodes behind one name, with HAProxy as docs/several-nodes.md configures it. C5, C8.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { startHaproxy } from "../lib/haproxy.mjs";
import { RawClient } from "../lib/raw.mjs";
import { CARRIER_HZ, carrierHears, hangUp, talk as talkOver } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const NAMES = ["one", "two"];
const DRAIN_S = 300;
/** More than chance would explain. */
const TIMES = 6;
const CUTS_WHILE_LEAVING = 2;

const nodes = {};
let balancer;
before(async () => {
  for (const [at, name] of NAMES.entries()) {
    nodes[name] = await World.open({
      node: { name, drain_s: DRAIN_S },
      rtpPorts: `${21_000 + 1_000 * at}-${21_999 + 1_000 * at}`,
    });
  }
  balancer = await startHaproxy(nodes);
});
afterEach(() => Promise.all(NAMES.map((name) => nodes[name].closeCarriers())));
after(async () => {
  await balancer?.stop();
  for (const name of NAMES) await nodes[name]?.close();
});

/** The node that a sticky id names. */
function nodeOf(stickyId) {
  return stickyId.slice(stickyId.indexOf(".") + 1);
}

function otherThan(name) {
  return NAMES.find((each) => each !== name);
}

/** A client without an SDK behind the balancer, logged in; `query` as an SDK brings it. */
async function client(query = "") {
  const opened = await RawClient.open(`${balancer.host}/${query}`);
  await opened.logIn("bob", USERS.bob);
  return { opened, stickyId: opened.frames[0].voice_sdk_id };
}

/** A browser that has logged in through the balancer. */
async function browser(user) {
  const phone = await nodes.one.phone();
  await phone.connect({ host: balancer.host, login: user, password: USERS[user] });
  await until("telnyx.ready", async () => (await phone.records()).ready > 0);
  return phone;
}

/** The node that a browser heard of last. Its own frames name none: a login on its way must not be taken for news. */
async function nodeNow(phone) {
  const news = (await phone.frames()).findLast(({ from }) => from === "server");
  return nodeOf(news.frame.voice_sdk_id);
}

/** A browser in a call. */
async function talk() {
  const phone = await browser("alice");
  const home = await nodeNow(phone);
  const carrier = await nodes[home].carrier({ toneHz: CARRIER_HZ });
  return { phone, home, ...(await talkOver(phone, carrier)) };
}

test(`C5: ${TIMES} times cut off in a call, the SDK comes back to its node each time, and the call goes on`, async () => {
  const { phone, id, call, home } = await talk();
  for (let time = 1; time <= TIMES; time += 1) {
    await phone.readyAfter(() => phone.ask("cutSocket"));
    assert.equal(await nodeNow(phone), home);
  }
  assert.equal(await phone.state(id), "active");
  await phone.untilHears(id, CARRIER_HZ);
  await hangUp(phone, id, call);
  await phone.close();
});

test("C5: the sticky id leads to the node that it names, and away from it where the client asks for that", async () => {
  const first = await client();
  const home = nodeOf(first.stickyId);
  assert.ok(NAMES.includes(home), first.stickyId);
  first.opened.close();
  for (let time = 0; time < TIMES; time += 1) {
    const back = await client(`?voice_sdk_id=${first.stickyId}`);
    assert.equal(nodeOf(back.stickyId), home);
    const away = await client(`?voice_sdk_id=${first.stickyId}&skip_last_voice_sdk_id=true`);
    assert.equal(nodeOf(away.stickyId), otherThan(home));
    const lost = await client("?voice_sdk_id=vsdk-of%2Fa-node.that-is-gone");
    assert.ok(NAMES.includes(nodeOf(lost.stickyId)), "any node does");
    for (const { opened } of [back, away, lost]) opened.close();
  }
});

test("C5, C8: a node that leaves sends its clients to the other one; one in a call that is cut off comes back and talks on", async () => {
  const { phone, id, call, home } = await talk();
  const idle = [];
  const nodesOfIdle = () => Promise.all(idle.map(nodeNow));
  // The balancer takes the node that has fewer clients, as far as it knows: a few are at both.
  do idle.push(await browser("bob"));
  while (idle.length < TIMES && new Set(await nodesOfIdle()).size < NAMES.length);
  assert.deepEqual([...new Set(await nodesOfIdle())].sort(), NAMES);

  const leaving = nodes[home].offhook.leave();
  const elsewhere = async () => (await nodesOfIdle()).every((name) => name === otherThan(home));
  await until("the idle clients are at the other node", elsewhere);
  assert.equal((await phone.records()).closes, 0, "the one in a call stays");
  for (let time = 1; time <= CUTS_WHILE_LEAVING; time += 1) {
    await phone.readyAfter(() => phone.ask("cutSocket"));
    assert.equal(await nodeNow(phone), home, "where its call is");
  }
  assert.equal(await phone.state(id), "active");
  await phone.untilHears(id, CARRIER_HZ);
  await carrierHears(call);
  assert.ok((await nodesOfIdle()).every((name) => name === otherThan(home)));
  await hangUp(phone, id, call);
  await until("it follows", async () => (await nodeNow(phone)) === otherThan(home));
  assert.equal(await leaving, 0, "the node is gone before its time");
  await Promise.all([phone, ...idle].map((each) => each.close()));
});
