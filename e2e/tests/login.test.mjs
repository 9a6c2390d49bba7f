// Who gets in, and what exactly the SDK says to those who do not. R15 to R17, M6 to M10.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { after, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { makeToken, seconds, tokenKeys } from "../lib/jwt.mjs";
import { RawClient } from "../lib/raw.mjs";
import { throughout, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const LOGIN_FAILED = 46001;
const keys = tokenKeys();
let world;

before(async () => {
  world = await World.open({ auth: keys.config, files: keys.files });
});
after(() => world.close());

/** Connects with `options` and expects exactly one LOGIN_FAILED, no `ready`, and no second try. */
async function expectRefused(options) {
  const phone = await world.phone();
  await phone.connect(options);
  await until("an error", async () => (await phone.records()).errors.length > 0);
  await throughout("one error", async () => (await phone.records()).errors.length === 1, 500);
  const { errors, ready } = await phone.records();
  assert.deepEqual(
    errors.map((error) => [error.code, error.fatal]),
    [[LOGIN_FAILED, true]],
  );
  assert.equal(ready, 0);
  await phone.close();
}

async function expectLetIn(options) {
  const phone = await world.phone();
  await phone.connect(options);
  await until("telnyx.ready", async () => (await phone.records()).ready > 0);
  const { errors, ready } = await phone.records();
  assert.deepEqual(errors, []);
  assert.equal(ready, 1);
  await phone.close();
}

test("M6, M9: user and password lead to exactly one ready", () =>
  expectLetIn({ login: "alice", password: USERS.alice }));

for (const alg of ["EdDSA", "ES256", "HS256"]) {
  test(`M7: a JWT signed with ${alg} lets its subject in`, () =>
    expectLetIn({ login_token: makeToken(alg, keys.signers[alg], { sub: "alice", exp: seconds(60) }) }));
}

test("M7: a wrong password is LOGIN_FAILED, once", () =>
  expectRefused({ login: "alice", password: "wrong" }));

test("M7: an unknown user is LOGIN_FAILED, once", () => expectRefused({ login: "mallory", password: "x" }));

test("an expired JWT is refused", () =>
  expectRefused({
    login_token: makeToken("EdDSA", keys.signers.EdDSA, { sub: "alice", exp: seconds(-60) }),
  }));

test("a JWT without an expiry is refused", () =>
  expectRefused({ login_token: makeToken("EdDSA", keys.signers.EdDSA, { sub: "alice" }) }));

test("a JWT signed with somebody else's key is refused", () => {
  const stranger = generateKeyPairSync("ed25519").privateKey;
  return expectRefused({
    login_token: makeToken("EdDSA", (data) => sign(null, data, stranger), { sub: "alice", exp: seconds(60) }),
  });
});

test("a JWT whose claims were changed after signing is refused", () => {
  const [head, , signature] = makeToken("EdDSA", keys.signers.EdDSA, { sub: "bob", exp: seconds(60) }).split(
    ".",
  );
  const claims = Buffer.from(JSON.stringify({ sub: "alice", exp: seconds(60) })).toString("base64url");
  return expectRefused({ login_token: `${head}.${claims}.${signature}` });
});

test("a JWT that names no algorithm is refused", () =>
  expectRefused({
    login_token: makeToken("none", () => Buffer.alloc(0), { sub: "alice", exp: seconds(60) }),
  }));

test("a JWT for another audience is refused", () =>
  expectRefused({
    login_token: makeToken("EdDSA", keys.signers.EdDSA, {
      sub: "alice",
      exp: seconds(60),
      aud: "another service",
    }),
  }));

test("M8: what a refused login is answered with is -32001 and never -32000", async () => {
  const client = await RawClient.open(world.host);
  for (const params of [{ login: "alice", passwd: "wrong" }, { login_token: "x.y.z" }, { login: 7 }, {}]) {
    const answer = await client.request("login", params);
    assert.ok(answer.error, JSON.stringify(answer));
    assert.notEqual(answer.error.code, -32000);
  }
  assert.equal((await client.request("login", { login: "alice", passwd: "wrong" })).error.code, -32001);
  client.close();
});

test("M10: before the login a call is refused with -32000, and a ping is answered", async () => {
  const client = await RawClient.open(world.host);
  const invite = await client.request("telnyx_rtc.invite", { sdp: "v=0\r\n", dialogParams: { callID: "c" } });
  assert.equal(invite.error.code, -32000);
  const ping = await client.request("telnyx_rtc.ping");
  assert.equal(typeof ping.result, "object");
  client.close();
});

test("a call without a login fails at once with the SDK's own error", async () => {
  const phone = await world.phone();
  await phone.connect({ login: "alice", password: "wrong" });
  await until("an error", async () => (await phone.records()).errors.length > 0);
  const id = await phone.call("+491000");
  const end = await phone.untilEnded(id);
  assert.equal(end.state, "destroy");
  const codes = (await phone.records()).errors
    .filter((error) => error.callId === id)
    .map((error) => error.code);
  assert.equal(codes[0], 40005);
  await phone.close();
});

test("C3: somebody else's session id is never resumed", async () => {
  const alice = await RawClient.open(world.host);
  const sessid = await alice.logIn("alice", USERS.alice);
  const bob = await RawClient.open(world.host);
  const answer = await bob.request("login", { login: "bob", passwd: USERS.bob, reconnection: true, sessid });
  assert.ok(answer.result.sessid);
  assert.notEqual(answer.result.sessid, sessid);
  alice.close();
  bob.close();
});
