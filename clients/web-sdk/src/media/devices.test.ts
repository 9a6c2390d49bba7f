import assert from "node:assert/strict";
import { test } from "node:test";
import { microphoneError } from "./devices.js";

test("every failure of the microphone has its own code and a remedy", () => {
  const codeOf = (name: string) => microphoneError(Object.assign(new Error("x"), { name })).code;
  assert.equal(codeOf("NotAllowedError"), 42001);
  assert.equal(codeOf("NotFoundError"), 42002);
  assert.equal(codeOf("NotReadableError"), 42003);
  assert.equal(microphoneError("odd").code, 42003);
  assert.match(microphoneError("odd").remedy, /microphone/);
});
