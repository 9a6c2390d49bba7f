import assert from "node:assert/strict";
import { test } from "node:test";
import { REMEMBERED, fakeStorage } from "../testing/page-before.js";
import { recall, remember } from "./page-memory.js";

test("what is left is taken once, and not when it is old", () => {
  const tab = fakeStorage();
  remember(tab, REMEMBERED, 1_000);
  assert.deepEqual(recall(tab, 91_000), REMEMBERED);
  assert.equal(recall(tab, 91_000), null);
  remember(tab, REMEMBERED, 1_000);
  assert.equal(recall(tab, 91_001), null);
});

test("without a call nothing is left, and what is damaged is nothing", () => {
  const tab = fakeStorage();
  remember(tab, REMEMBERED, 0);
  remember(tab, { ...REMEMBERED, calls: [] }, 0);
  assert.equal(recall(tab, 0), null);
  tab.setItem("offhook-session", "{");
  assert.equal(recall(tab, 0), null);
});
