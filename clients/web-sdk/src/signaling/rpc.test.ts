import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Rpc, RpcLost, RpcRefusal } from "./rpc.js";
import type { RpcRequest } from "./messages.js";

function rig(): { rpc: Rpc; sent: RpcRequest[]; lastId: () => string } {
  const sent: RpcRequest[] = [];
  const rpc = new Rpc((message) => {
    sent.push(message);
    return true;
  });
  return { rpc, sent, lastId: () => sent.at(-1)?.id ?? "" };
}

test("an answer goes to the request of its id, in any order", async () => {
  const { rpc, sent } = rig();
  const first = rpc.call("ping", {});
  const second = rpc.call("bye", {});
  rpc.settle({ id: sent[1]?.id ?? "", result: { n: 2 } });
  rpc.settle({ id: sent[0]?.id ?? "", result: { n: 1 } });
  assert.deepEqual(await first, { n: 1 });
  assert.deepEqual(await second, { n: 2 });
});

test("an error answer keeps its code and words", async () => {
  const { rpc, lastId } = rig();
  const asked = rpc.call("login", {});
  rpc.settle({ id: lastId(), code: -32001, message: "Authentication failure" });
  await assert.rejects(asked, (error) => error instanceof RpcRefusal && error.code === -32001);
});

test("without an answer the request fails when its time is over", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { rpc } = rig();
  const asked = assert.rejects(rpc.call("modify", {}, 10_000), RpcLost);
  mock.timers.tick(10_000);
  await asked;
  mock.timers.reset();
});

test("what cannot be sent fails at once", async () => {
  await assert.rejects(new Rpc(() => false).call("bye", {}), RpcLost);
});

test("open requests are bounded, and a lost connection fails them all", async () => {
  const { rpc, sent } = rig();
  const asked = Array.from({ length: 300 }, () => rpc.call("ping", {}).catch((error: unknown) => error));
  rpc.abandon("the connection was lost");
  const outcomes = await Promise.all(asked);
  assert.ok(outcomes.every((outcome) => outcome instanceof RpcLost));
  assert.equal(sent.length, 256);
});

test("answers to nobody are ignored", () => {
  rig().rpc.settle({ id: "stranger", result: {} });
});
