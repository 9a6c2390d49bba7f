// The operator's hand: clients and their calls listed, clients evicted, over the admin port and the command line. C8.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CARRIER_HZ = 440;

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

async function sessions(query = "") {
  return (await world.offhook.admin(`/sessions${query}`)).sessions;
}

test("a client and its call are listed, by the admin port and by `offhook sessions`", async () => {
  await world.carrier();
  const phone = await world.loggedIn();
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  const [session, ...others] = await sessions("?user=alice");
  assert.deepEqual(others, []);
  assert.deepEqual([session.user, session.connected, session.address], ["alice", true, "127.0.0.1"]);
  const [call] = session.calls;
  assert.deepEqual([call.client_call, call.stage, call.to], [id, "active", "+491000"]);
  assert.ok(await world.offhook.trace(call.call_id), "the id leads to the call's trace");
  const printed = await world.offhook.command("sessions", "--user", "alice");
  assert.match(printed, new RegExp(`${session.session}  alice at 127.0.0.1\\n  ${call.call_id}  active  `));
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
  await until("it is listed no more", async () => (await sessions()).length === 0);
});

test("C8: an evicted client loses its calls, stays away, and may come back when its app wants to", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const bystander = await world.loggedIn("bob");
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.untilHears(id, CARRIER_HZ);
  const [{ session }] = await sessions("?user=alice");
  assert.deepEqual(await world.offhook.adminPost(`/sessions/${session}/punt`), {
    status: 200,
    body: { punted: 1 },
  });
  const end = await phone.untilEnded(id);
  assert.deepEqual([end.sipCode, end.sipReason], [480, "Session ended by the operator"]);
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
  await throughout("it stays away", async () => (await phone.records()).sockets === 1, 4_000);
  assert.deepEqual(await sessions("?user=alice"), []);
  assert.equal((await bystander.records()).closes, 0);
  assert.equal((await world.offhook.adminPost(`/sessions/${session}/punt`)).status, 404);

  const { ready } = await phone.records();
  await phone.connect({ login: "alice", password: USERS.alice });
  await until("ready again", async () => (await phone.records()).ready > ready);
  await Promise.all([phone.close(), bystander.close()]);
});

test("C8: `offhook punt --user` evicts all clients of a user", async () => {
  await world.untilGone("alice");
  const phones = [await world.loggedIn(), await world.loggedIn()];
  assert.equal(await world.offhook.command("punt", "--user", "alice"), "2 evicted\n");
  for (const phone of phones)
    await until("its socket is closed", async () => (await phone.records()).closes === 1);
  assert.equal(await world.offhook.command("punt", "--user", "nobody"), "0 evicted\n");
  await Promise.all(phones.map((phone) => phone.close()));
});

test("a web page cannot evict anybody", async () => {
  const phone = await world.loggedIn();
  const answer = await world.offhook.adminPost("/users/alice/punt", { origin: "https://evil.example" });
  assert.equal(answer.status, 403);
  assert.equal((await phone.records()).closes, 0);
  await phone.close();
});
