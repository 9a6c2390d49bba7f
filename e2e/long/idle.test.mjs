// Ten idle minutes of a client, as many as R11 asks for, and some of one whose SDK knows no pings; run.mjs has them pass beside the
// other tests. R11, M4.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CALLS = 3;
const IDLE_MS = 10 * 60_000;
const LOOK_MS = 2_000;
const PING_MS = 15_000;
const PING = "telnyx_rtc.ping";
/** Before the next one. */
const ANSWER_MS = 10_000;
/** Not those of the tests beside this one, nor those of each other. */
const RTP_PORTS = { idle: "20900-20999", older: "20800-20899" };
const OLDER = "2.6.0";
/** More than the 60 s after which the server gives a silent socket up. */
const OLDER_IDLE_MS = 80_000;

/** Runs a test in a world of its own. */
async function inWorld(rtpPorts, run) {
  const world = await World.open({ rtpPorts });
  try {
    await run(world);
  } finally {
    await world.closeCarriers();
    await world.close();
  }
}

async function call(phone) {
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await until("both send", async () => (await phone.ask("stats", id)).packetsReceived > 10);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
}

/** Since `since`: the server's pings, each with the ping that the SDK sends for it; and the SDK's, each with the result of it. */
async function pings(phone, since) {
  const early = Date.now() - ANSWER_MS;
  const frames = (await phone.frames()).filter(({ at }) => at >= since);
  const of = (from) =>
    frames.filter((each) => each.from === from && each.frame.method === PING && each.at < early);
  const servers = of("server").map((ping) => ({
    ping,
    answer: frames.find(({ from, frame, at }) => from === "client" && frame.method === PING && at >= ping.at),
  }));
  const clients = of("client").map((ping) => ({
    ping,
    answer: frames.find(({ from, frame }) => from === "server" && frame.id === ping.frame.id && frame.result),
  }));
  return { servers, clients };
}

describe("idle clients", { concurrency: true }, () => {
  test("R11, M4: login, three calls, ten idle minutes and a fourth call: one socket, and every ping answered", () =>
    inWorld(RTP_PORTS.idle, idle));
  test(`${OLDER}, which answers no pings, keeps its socket and its call by the WebSocket's own`, () =>
    inWorld(RTP_PORTS.older, olderIdle));
});

async function idle(world) {
  const carrier = await world.carrier();
  const phone = await world.loggedIn();
  for (let nth = 0; nth < CALLS; nth += 1) await call(phone);
  await phone.ask("rest");

  const since = Date.now();
  const { warnings: before } = await phone.records();
  const oneSocket = async () => {
    const { websockets, sessions } = await atServer(world);
    const { sockets, closes } = await phone.records();
    return [websockets, sessions, await phone.ask("socketsMade"), sockets, closes].join() === "1,1,1,1,0";
  };
  await throughout("one socket and one session, on both sides", oneSocket, IDLE_MS, LOOK_MS);

  const { servers, clients } = await pings(phone, since);
  assert.ok(servers.length >= IDLE_MS / PING_MS - 2, `${servers.length} pings of the server in ten minutes`);
  assert.ok(clients.length >= servers.length - 2, `${clients.length} pings of the SDK`);
  for (const { ping, answer } of [...servers, ...clients]) {
    assert.ok(answer, `nobody answered ${JSON.stringify(ping)}`);
    assert.ok(answer.at - ping.at < ANSWER_MS, `answered after ${answer.at - ping.at} ms`);
  }
  const { ready, warnings, errors } = await phone.records();
  assert.deepEqual([ready, warnings.slice(before.length), errors], [1, [], []]);

  await phone.ask("wake");
  await call(phone);
  assert.equal(carrier.calls.length, CALLS + 1);
  assert.ok(await oneSocket());
  await phone.close();
}

async function olderIdle(world) {
  await world.carrier();
  const phone = await world.phone(OLDER);
  await phone.logIn("alice", USERS.alice);
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const since = Date.now();
  const sameSocket = async () =>
    (await phone.ask("socketsMade")) === 1 && (await phone.state(id)) === "active";
  await throughout("one socket, and the call up", sameSocket, OLDER_IDLE_MS, LOOK_MS);
  const { servers, clients } = await pings(phone, since);
  assert.ok(servers.length >= OLDER_IDLE_MS / PING_MS - 2, `${servers.length} pings of the server`);
  assert.equal(clients.length, 0);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
}

/** What the server counts. */
async function atServer(world) {
  const gauges = await world.offhook.gauges();
  return { websockets: gauges.offhook_vsp_websockets, sessions: gauges.offhook_vsp_sessions };
}
