import assert from "node:assert/strict";
import { test } from "node:test";
import { readDemo } from "./demo.js";
import { destinationOf, duration, endInDetail, endInWords } from "./words.js";

const BUSY = {
  cause: "USER_BUSY",
  causeCode: 17,
  sipCode: 486,
  sipReason: "Busy Here",
  by: "remote",
} as const;

test("the end of a call reads like a sentence and keeps the network's words", () => {
  assert.equal(endInWords(BUSY, "outbound", false), "Busy: they are on another call.");
  assert.equal(endInDetail(BUSY), "486 Busy Here · USER_BUSY (17)");
  const local = { ...BUSY, sipCode: null, sipReason: null, by: "local" } as const;
  const handedOver = { ...BUSY, cause: "NORMAL_CLEARING", sipCode: 200, sipReason: "Transferred" } as const;
  assert.match(endInWords(handedOver, "outbound", true), /^Handed over/);
  assert.equal(endInWords(local, "outbound", false), "You gave up.");
  assert.equal(endInWords(local, "inbound", false), "You declined.");
  assert.equal(endInWords(local, "outbound", true), "You hung up.");
  assert.equal(endInDetail(local), "USER_BUSY (17)");
});

test("a cause that we have no sentence for is still readable", () => {
  const odd = { ...BUSY, cause: "ALLOTTED_TIMEOUT", sipCode: 999 } as const;
  assert.equal(endInWords(odd, "outbound", false), "The call ended: allotted timeout.");
});

test("durations", () => {
  assert.equal(duration(-5), "0:00");
  assert.equal(duration(83_000), "1:23");
  assert.equal(duration(3_723_000), "1:02:03");
});

test("a demo description is taken over as far as it is sound", () => {
  assert.deepEqual(readDemo(null), { users: [], numbers: [] });
  assert.deepEqual(
    readDemo({ users: [{ login: "alice" }, 7], numbers: [{ number: "9196", name: "Echo" }] }),
    {
      users: [],
      numbers: [{ number: "9196", name: "Echo", text: "" }],
    },
  );
});

test("numbers lose their decoration, users and addresses nothing", () => {
  for (const [typed, meant] of [
    [" +49 (30) 123-45.67 ", "+49301234567"],
    ["9196", "9196"],
    ["*21#", "*21#"],
    ["alice-demo", "alice-demo"],
    ["sip:a-b@voice.example.com", "sip:a-b@voice.example.com"],
    ["  ", ""],
  ] as const) {
    assert.equal(destinationOf(typed), meant);
  }
});
