import assert from "node:assert/strict";
import { test } from "node:test";
import { recall, remember, type RememberedCall } from "./page-memory.js";

function storage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  } as Storage;
}

const CALL: RememberedCall = {
  id: "c-1",
  direction: "outbound",
  destinationNumber: "9196",
  callerNumber: "",
  callerName: "",
  held: false,
  answeredAt: 1,
};
const SESSION = { sessionId: "s-1", voiceSdkId: "v-1", calls: [CALL] };

test("what is left is taken once, and not when it is old", () => {
  const tab = storage();
  remember(tab, SESSION, 1_000);
  assert.deepEqual(recall(tab, 91_000), SESSION);
  assert.equal(recall(tab, 91_000), null);
  remember(tab, SESSION, 1_000);
  assert.equal(recall(tab, 91_001), null);
});

test("without a call nothing is left, and what is damaged is nothing", () => {
  const tab = storage();
  remember(tab, SESSION, 0);
  remember(tab, { ...SESSION, calls: [] }, 0);
  assert.equal(recall(tab, 0), null);
  tab.setItem("offhook-session", "{");
  assert.equal(recall(tab, 0), null);
});
