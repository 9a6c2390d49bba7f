// The measuring tools themselves: a test that trusts them has to be able to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { G711 } from "../lib/g711.mjs";
import { dominantHz, sine } from "../lib/tone.mjs";

for (const [name, codec] of Object.entries(G711)) {
  test(`${name}: every byte decodes and encodes back to itself`, () => {
    for (let byte = 0; byte < 256; byte += 1) {
      const [sample] = codec.decode(Buffer.from([byte]));
      const [again] = codec.decode(codec.encode([sample]));
      assert.equal(again, sample, `byte ${byte}`);
    }
  });

  test(`${name}: a tone survives`, () => {
    const through = codec.decode(codec.encode(sine(700, 8_000, 1_600)));
    assert.ok(Math.abs(dominantHz(through, 8_000) - 700) <= 5);
  });
}

test("known values of G.711", () => {
  assert.deepEqual([...G711.PCMU.encode([0, -1, 32_767, -32_768])], [0xff, 0x7f, 0x80, 0x00]);
  assert.deepEqual([...G711.PCMA.encode([0, 32_767, -32_768])], [0xd5, 0xaa, 0x2a]);
});

test("silence and noise are not tones", () => {
  assert.equal(dominantHz(new Array(800).fill(0), 8_000), null);
  let seed = 1;
  const noise = Array.from({ length: 1_600 }, () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return (seed % 16_000) - 8_000;
  });
  assert.equal(dominantHz(noise, 8_000), null);
});
