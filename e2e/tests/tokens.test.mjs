// Tokens that end while their client is there, and logins that are tried too often. C7.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { makeToken, seconds, tokenKeys } from "../lib/jwt.mjs";
import { near } from "../lib/phone.mjs";
import { RawClient } from "../lib/raw.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const TOKEN_EXPIRING_SOON = 34001;
const BROWSER_HZ = 700;
/** Enough to log in and to call in; a busy machine takes its time. */
const LIFETIME_S = 15;
const FAILURES_MAX = 5;

const keys = tokenKeys();
let world;
before(async () => {
  world = await World.open({
    auth: keys.config,
    files: keys.files,
    limits: { login_failures_max: FAILURES_MAX },
  });
});
afterEach(() => world.closeCarriers());
after(() => world.close());

function token(lifetimeS) {
  return makeToken("EdDSA", keys.signers.EdDSA, { sub: "alice", exp: seconds(lifetimeS) });
}

async function withToken(lifetimeS) {
  const phone = await world.phone();
  await phone.connect({ login_token: token(lifetimeS) });
  await until("telnyx.ready", async () => (await phone.records()).ready > 0);
  return phone;
}

async function frames(phone, from, method) {
  return (await phone.frames()).filter((each) => each.from === from && each.frame.method === method);
}

async function answerTo(phone, id) {
  return (await phone.frames()).find(({ from, frame }) => from === "server" && frame.id === id)?.frame;
}

test("C7: a token that has ended ends no call; the next one asks for exactly one login", async () => {
  const carrier = await world.carrier({ toneHz: 440 });
  const phone = await withToken(LIFETIME_S);
  const running = await phone.call("+491000");
  await phone.untilState(running, "active");
  await until("the app is warned", async () =>
    (await phone.records()).warnings.some(({ code }) => code === TOKEN_EXPIRING_SOON),
  );
  const end = Date.now() + (LIFETIME_S + 1) * 1_000;
  await throughout(
    "the call runs on",
    async () => (await phone.state(running)) === "active",
    end - Date.now(),
  );
  await phone.ask("hold", running);
  await phone.untilState(running, "held");
  await phone.ask("unhold", running);
  await phone.untilState(running, "active");

  // The app has renewed its token meanwhile, as the warning told it to.
  await phone.ask("renewToken", token(60));
  await phone.call("+491000");
  await until("the server asks for a login", async () => {
    const [, second] = await frames(phone, "client", "telnyx_rtc.invite");
    return second && (await answerTo(phone, second.frame.id))?.error?.code === -32000;
  });
  await until("a second login", async () => (await frames(phone, "client", "login")).length === 2);
  await throughout("no third one", async () => (await frames(phone, "client", "login")).length === 2, 1_000);
  assert.equal(await phone.state(running), "active");
  const again = await phone.call("+491000");
  await phone.untilState(again, "active");
  await until("heard", () => near(carrier.calls.at(-1).rtp.heardHz(), BROWSER_HZ));
  for (const id of [running, again]) {
    await phone.ask("hangup", id);
    await phone.untilEnded(id);
  }
  assert.equal((await phone.records()).closes, 0, "all on one socket");
  await phone.close();
});

test("C7: a token renewed on the live socket before its end is never asked for", async () => {
  await world.carrier();
  const phone = await withToken(LIFETIME_S);
  await phone.ask("login", { login_token: token(60) });
  await until("a second login", async () => (await frames(phone, "client", "login")).length === 2);
  const end = Date.now() + (LIFETIME_S + 1) * 1_000;
  await throughout("it stays", async () => (await phone.records()).closes === 0, end - Date.now());
  const id = await phone.call("+491000");
  await phone.untilState(id, "active");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("C7: who guesses has to wait, right password or not, and is not told so", async () => {
  const attempt = async (passwd) => {
    const client = await RawClient.open(world.host);
    const answer = await client.request("login", { login: "bob", passwd });
    client.close();
    return answer;
  };
  for (let time = 0; time < FAILURES_MAX; time += 1)
    assert.equal((await attempt("guess")).error.code, -32001);
  const right = await attempt(USERS.bob);
  assert.deepEqual(right.error, (await attempt("guess")).error);
  assert.ok((await world.offhook.counter("offhook_vsp_logins", 'outcome="throttled"')) > 0);
});
