// How browser and gateway agree on media, and how they agree again: trickle, ICE restart, odd offers. M21, C14, C19 to C21.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { RawClient } from "../lib/raw.mjs";
import { bothHear, CARRIER_HZ, hangUp, talk as talkOver } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

let world;
let phone;
before(async () => {
  world = await World.open();
  phone = await world.loggedIn();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** A call with a tone each way. */
async function talk(options = {}) {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  return talkOver(phone, carrier, options);
}

/** What the client asked about a call by this method, each with the frame that answers it. */
async function asked(id, method) {
  const frames = await phone.frames();
  return frames
    .filter(
      ({ from, frame }) =>
        from === "client" &&
        frame.method === `telnyx_rtc.${method}` &&
        frame.params.dialogParams?.callID === id,
    )
    .map(({ frame }) => ({
      request: frame,
      answer: frames.find((each) => each.from === "server" && each.frame.id === frame.id)?.frame,
    }));
}

function ufrag(sdp) {
  return /^a=ice-ufrag:(\S+)/m.exec(sdp)[1];
}

test("C14, R26: an offer without candidates that follow by themselves leads to a call", async () => {
  const { id, call } = await talk({ trickleIce: true });
  const [invite] = await asked(id, "invite");
  assert.doesNotMatch(invite.request.params.sdp, /^a=candidate/m);
  const later = await until("each that follows is answered", async () => {
    const all = [...(await asked(id, "candidate")), ...(await asked(id, "endOfCandidates"))];
    return all.length > 0 && all.every(({ answer }) => answer) && all;
  });
  for (const { answer } of later) assert.equal(answer.result?.callID, id, JSON.stringify(answer));
  await hangUp(phone, id, call);
});

test("M21, C19: an ICE restart is answered in its result, and nobody hears it", async () => {
  const { id, call } = await talk();
  const before = { local: await phone.ask("sdp", id, "local"), remote: await phone.ask("sdp", id, "remote") };
  await phone.ask("restartIce", id);
  const restart = await until("the restart is answered", async () =>
    (await asked(id, "modify")).find(({ answer }) => answer),
  );
  assert.equal(restart.request.params.action, "updateMedia");
  const { result } = restart.answer;
  assert.deepEqual([result.callID, result.action, result.holdState], [id, "updateMedia", "active"]);
  await until(
    "the answer is applied",
    async () => ufrag(await phone.ask("sdp", id, "remote")) === ufrag(result.sdp),
  );
  assert.notEqual(ufrag(restart.request.params.sdp), ufrag(before.local));
  assert.notEqual(
    ufrag(result.sdp),
    ufrag(before.remote),
    "the server's side restarts too (RFC 8839 §4.4.1.1.1)",
  );
  for (const line of [/^a=setup:(\S+)/m, /^a=fingerprint:(.+)$/m])
    assert.equal(line.exec(result.sdp)[1], line.exec(before.remote)[1], "the keys stay");
  await until("connected", async () => (await phone.ask("connection", id)).state === "connected");
  await bothHear(phone, id, call);
  assert.equal(call.rtp.lost, 0);
  assert.equal(call.reinvites.length, 0, "no matter of the carrier's");
  await hangUp(phone, id, call);
});

test("C19: a call that is held is still held after an ICE restart", async () => {
  const { id, call } = await talk();
  await phone.ask("hold", id);
  await phone.ask("restartIce", id);
  const restart = await until("the restart is answered", async () =>
    (await asked(id, "modify")).find(
      ({ request, answer }) => request.params.action === "updateMedia" && answer,
    ),
  );
  assert.equal(restart.answer.result.holdState, "held");
  await phone.ask("unhold", id);
  await bothHear(phone, id, call);
  await hangUp(phone, id, call);
});

/** Offers `change(sdp)` of a browser's real offer; gives the server's answer. */
async function answerTo(change) {
  const { id, call } = await talk();
  const sdp = change(await phone.ask("sdp", id, "local"));
  await hangUp(phone, id, call);
  const client = await RawClient.open(world.host);
  await client.logIn("bob", USERS.bob);
  const callID = crypto.randomUUID();
  const dialogParams = { callID, destination_number: "+491000" };
  const invited = await client.request("telnyx_rtc.invite", { sdp, dialogParams });
  assert.ok(invited.result, JSON.stringify(invited));
  const answer = await client.event("telnyx_rtc.answer", (params) => params.callID === callID);
  await client.request("telnyx_rtc.bye", { dialogParams });
  client.close();
  return answer.params.sdp;
}

/** Leaves only these codecs of the audio. */
function only(...names) {
  return (sdp) => {
    const kept = [...sdp.matchAll(/^a=rtpmap:(\d+) ([\w-]+)\/8000|^a=rtpmap:(\d+) (opus)\//gim)]
      .map((match) => [match[1] ?? match[3], (match[2] ?? match[4]).toLowerCase()])
      .filter(([, name]) => names.includes(name))
      .map(([type]) => type);
    return sdp
      .replace(/^(m=audio \d+ \S+) .*$/m, `$1 ${kept.join(" ")}`)
      .replaceAll(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) .*\r\n/gm, (line, type) =>
        kept.includes(type) ? line : "",
      );
  };
}

for (const names of [["pcma"], ["pcmu"], ["opus"], ["pcma", "telephone-event"]]) {
  test(`C20: an offer of ${names.join(" and ")} alone is answered with nothing else`, async () => {
    const answer = await answerTo(only(...names));
    const named = { pcmu: "0", pcma: "8" };
    const rtpmaps = [...answer.matchAll(/^a=rtpmap:(\d+) ([\w-]+)\//gm)].map(([, , name]) =>
      name.toLowerCase(),
    );
    const [, types] = /^m=audio [1-9]\d* \S+ (.*?)\r?$/m.exec(answer);
    assert.ok(
      rtpmaps.every((name) => names.includes(name)),
      answer,
    );
    if (named[names[0]]) assert.equal(types.split(" ")[0], named[names[0]]);
  });
}

for (const [offered, answered] of [
  ["recvonly", "sendonly"],
  ["sendonly", "recvonly"],
  ["inactive", "inactive"],
]) {
  test(`C20: an offer that is ${offered} is answered ${answered}`, async () => {
    const answer = await answerTo((sdp) => sdp.replace("a=sendrecv", `a=${offered}`));
    assert.match(answer, new RegExp(`^a=${answered}\\r?$`, "m"));
  });
}

test("C21: video is declined, the audio beside it taken", async () => {
  const answer = await answerTo((sdp) => {
    const transport = [...sdp.matchAll(/^a=(?:ice-ufrag|ice-pwd|fingerprint|setup):.*\r\n/gm)].map(
      ([line]) => line,
    );
    const video = [
      "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=sendrecv\r\na=rtcp-mux\r\n",
      "a=rtpmap:96 VP8/90000\r\n",
      ...transport,
    ];
    return sdp.replace(/^a=group:BUNDLE .*$/m, (line) => `${line.trim()} v`) + video.join("");
  });
  assert.match(answer, /^m=audio [1-9]/m);
  assert.match(answer, /^m=video 0 /m);
  assert.doesNotMatch(/^a=group:BUNDLE (.*)$/m.exec(answer)[1], /\bv\b/);
});

test("C26: with debug every report on the socket is answered, and the call works", async () => {
  const { id, call } = await talk({ debug: true });
  await hangUp(phone, id, call);
  const answers = await until("each report is answered", async () => {
    const frames = await phone.frames();
    const reports = frames.filter(
      ({ from, frame }) => from === "client" && frame.type?.startsWith("debug_report"),
    );
    const all = reports.map(({ frame }) =>
      frames.find((each) => each.from === "server" && each.frame.id === frame.id),
    );
    return all.length > 0 && all.every(Boolean) && all;
  });
  for (const { frame } of answers) assert.deepEqual(frame.result, {}, JSON.stringify(frame));
});
