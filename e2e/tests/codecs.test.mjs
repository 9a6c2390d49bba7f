// Which codecs are offered, which one is used, and what each side asks of the other's Opus: R38, R39, R45.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { BROWSER_HZ, CARRIER_HZ, hangUp } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALL = ["opus", "PCMU", "PCMA"];
/** Packets each way that show which codec is used: half a second. */
const ENOUGH = 25;

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call from a new tab to a carrier; both sides of it once it is up. */
async function call({ carrier: carrierOptions, parameters = null, codecs = null, at = world }) {
  const phone = await at.phone();
  if (parameters !== null) await phone.ask("opusParameters", parameters);
  await phone.logIn("alice", USERS.alice);
  const carrier = await at.carrier(carrierOptions);
  const known = await phone.ask("capabilities");
  const preferred = codecs?.map((name) =>
    known.find(({ mimeType }) => mimeType.toLowerCase() === `audio/${name.toLowerCase()}`),
  );
  const id = await phone.call("+491000", preferred ? { preferred_codecs: preferred } : {});
  await phone.untilState(id, "active");
  const end = async () => {
    await hangUp(phone, id, carrier.calls[0]);
    await phone.close();
  };
  return { phone, id, rtp: carrier.calls[0].rtp, offer: carrier.calls[0].invite.body, end };
}

/** The audio codecs of a description that are ours, as `[payload type, name]` in the order of its m-line. */
function codecsOf(sdp) {
  const types = /^m=audio \d+ \S+ (.*?)\r?$/m.exec(sdp)[1].split(" ");
  const names = new Map(
    [...sdp.matchAll(/^a=rtpmap:(\d+) (\S+?)\r?$/gm)].map(([, type, name]) => [type, name]),
  );
  const ours = ["opus/48000/2", "PCMU/8000", "PCMA/8000"];
  return types.map((type) => [type, names.get(type)]).filter(([, name]) => ours.includes(name));
}

/** The parameters of Opus in a description; their order means nothing. */
function opusOf(sdp) {
  const [, type] = /^a=rtpmap:(\d+) opus\//m.exec(sdp);
  const line = new RegExp(`^a=fmtp:${type} (.*?)\r?$`, "m").exec(sdp);
  return line[1].split(";").sort();
}

/** What the browser was answered. */
function answerTo(phone, id) {
  return phone.ask("sdp", id, "remote");
}

test("R38: the default offer lists Opus, PCMU and PCMA, in this order and with their payload types", async () => {
  const { phone, id, offer, end } = await call({
    carrier: { codecs: ALL, leavesChoice: true, toneHz: "echo" },
  });
  const expected = [
    ["111", "opus/48000/2"],
    ["0", "PCMU/8000"],
    ["8", "PCMA/8000"],
  ];
  assert.deepEqual(codecsOf(await phone.ask("sdp", id, "local")), expected, "from the SDK");
  assert.deepEqual(codecsOf(offer), expected, "to the carrier");
  assert.deepEqual(codecsOf(await answerTo(phone, id)), expected, "the answer");
  await end();
});

/** Waits until enough audio has come to both sides; gives the codecs seen, in packets and in the browser's statistics. */
async function used({ phone, id, rtp }) {
  const stats = await until("half a second of audio each way", async () => {
    const now = await phone.ask("stats", id);
    return now.packetsReceived >= ENOUGH && rtp.packetsReceived >= ENOUGH && now;
  });
  return { atCarrier: [...rtp.packetsOf.keys()], received: stats.codec, sent: stats.codecSent };
}

/** What carrier and browser can do, and what is used then. */
const CHOICES = [
  [ALL, ALL, "opus"],
  [["PCMU", "PCMA"], ALL, "PCMU"],
  [["PCMA"], ALL, "PCMA"],
  [ALL, ["PCMU", "PCMA"], "PCMU"],
  [ALL, ["PCMA"], "PCMA"],
];

for (const [atCarrier, inBrowser, expected] of CHOICES) {
  const named = `${atCarrier.join(", ")} at the carrier and ${inBrowser.join(", ")} in the browser`;
  test(`R38, R45: with ${named} both directions are ${expected}`, async () => {
    const carrier = { codecs: atCarrier, leavesChoice: true, toneHz: "echo" };
    const talk = await call({ carrier, codecs: inBrowser === ALL ? null : inBrowser });
    const seen = await used(talk);
    assert.deepEqual(seen, {
      atCarrier: [expected],
      received: `audio/${expected}`,
      sent: `audio/${expected}`,
    });
    await talk.phone.untilHears(talk.id, BROWSER_HZ);
    await talk.end();
  });
}

test("R39: what the browser wants of Opus reaches an Opus carrier, and what that wants the browser", async () => {
  const { phone, id, rtp, offer, end } = await call({
    carrier: { codecs: ["opus"], opus: "maxplaybackrate=8000;useinbandfec=0;cbr=1" },
    parameters: "stereo=1;useinbandfec=1;maxplaybackrate=16000;maxaveragebitrate=30000",
  });
  assert.deepEqual(opusOf(offer), [
    "maxaveragebitrate=30000",
    "maxplaybackrate=16000",
    "minptime=10",
    "stereo=1",
    "useinbandfec=1",
  ]);
  assert.deepEqual(opusOf(await answerTo(phone, id)), ["cbr=1", "maxplaybackrate=8000", "minptime=10"]);
  await until("half a second of Opus", () => rtp.packetsReceived >= ENOUGH);
  assert.deepEqual([...rtp.opusHeard.bands], ["narrow"], "no wider than the carrier plays");
  assert.deepEqual([...rtp.opusHeard.stereo], [false]);
  await end();
});

test("R39: an Opus carrier that wants stereo at 48 kHz gets it from the browser", async () => {
  const { phone, id, rtp, offer, end } = await call({
    carrier: { codecs: ["opus"], opus: "stereo=1;useinbandfec=1;maxplaybackrate=48000" },
  });
  assert.deepEqual(opusOf(offer), ["minptime=10", "useinbandfec=1"], "the SDK's own wishes");
  assert.deepEqual(opusOf(await answerTo(phone, id)), ["minptime=10", "stereo=1", "useinbandfec=1"]);
  await until("half a second of Opus", () => rtp.packetsReceived >= ENOUGH);
  assert.ok(rtp.opusHeard.stereo.has(true), JSON.stringify([...rtp.opusHeard.stereo]));
  const wide = ["wide", "super-wide", "full"].filter((band) => rtp.opusHeard.bands.has(band));
  assert.ok(wide.length > 0, JSON.stringify([...rtp.opusHeard.bands]));
  await end();
});

for (const [opus, corrects] of [
  ["useinbandfec=1;maxplaybackrate=8000", true],
  ["stereo=1;maxplaybackrate=48000", false],
]) {
  test(`R39: to a carrier with ${opus} we encode mono at 8 kHz, ${corrects ? "with" : "without"} correction`, async () => {
    const { rtp, end } = await call({ carrier: { codecs: ["opus"], opus }, codecs: ["PCMU"] });
    // To the encoder a steady tone is a voice while it is new, and only a voice is worth to be corrected.
    const { opusHeard } = rtp;
    await until("a second of Opus", () => {
      return rtp.packetsReceived >= 2 * ENOUGH && (!corrects || opusHeard.correcting > 0);
    });
    assert.deepEqual([...opusHeard.bands], ["narrow"]);
    assert.deepEqual([...opusHeard.stereo], [false]);
    assert.equal(opusHeard.correcting > 0, corrects, `${opusHeard.correcting} packets`);
    await end();
  });
}

test("R39: a browser gets error correction where it asks for it, and only there", async (t) => {
  const opus = await World.open({ gateway: { prefer: "opus" } });
  t.after(() => opus.close());
  for (const [parameters, corrects] of [
    ["minptime=10;useinbandfec=1", true],
    ["minptime=10", false],
  ]) {
    const { phone, id, rtp, end } = await call({
      carrier: { codecs: ["PCMU"], toneHz: CARRIER_HZ },
      parameters,
      at: opus,
    });
    await phone.untilHears(id, CARRIER_HZ);
    let looks = 0;
    const stats = await until("a second of Opus", async () => {
      // As if somebody spoke: a tone that begins anew is a voice to the encoder.
      looks += 1;
      rtp.play(looks % 40 < 20 ? null : CARRIER_HZ);
      const now = await phone.ask("stats", id);
      return now.packetsReceived >= 2 * ENOUGH && (!corrects || now.correcting > 0) && now;
    });
    assert.equal(stats.codec, "audio/opus");
    assert.equal(stats.correcting > 0, corrects, `${stats.correcting} of ${stats.packetsReceived} packets`);
    await end();
    await opus.closeCarriers();
  }
});
