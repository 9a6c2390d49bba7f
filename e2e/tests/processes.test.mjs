// VSP, SIP proxy and gateway as three processes: what dies takes nothing else with it. R3, R8, R9.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openUdpPorts } from "../lib/system.mjs";
import { bothHear, CARRIER_HZ, hangUp, talk } from "../lib/talk.mjs";
import { lasting, until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const CONTROL_GRACE_S = 12;
/** No pause in the carrier's audio may be longer: far less than the VSP is away. */
const GAP_MAX_MS = 1_000;
/** Two seconds of audio, in packets of 20 ms. */
const GOES_ON_PACKETS = 100;
const SILENT_MS = 3_000;

let world;
before(async () => {
  world = await World.openThree({ controlGraceS: CONTROL_GRACE_S });
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("R9: a call goes through three processes like through one", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const { id, call } = await talk(phone, carrier);
  await hangUp(phone, id, call);
  await phone.close();
});

test("R9: the gateway dies: the session stays up, the call ends with a clear cause, and the next one works", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const { id, call } = await talk(phone, carrier);
  await world.processes["b2bua-rtc"].stop("SIGKILL");
  const end = await phone.untilEnded(id);
  assert.deepEqual(
    [end.cause, end.causeCode, end.sipCode, end.sipReason],
    ["NORMAL_TEMPORARY_FAILURE", 41, 503, "Media gateway lost"],
  );
  await until("BYE at the carrier", () => call.endedBy === "bye");
  const { closes, ready } = await phone.records();
  assert.deepEqual([closes, ready], [0, 1]);

  await world.startRole("b2bua-rtc");
  await until("the VSP has its gateway again", async () => {
    const again = await phone.call("+491000");
    await until("it is decided", async () => ["active", "destroy"].includes(await phone.state(again)));
    const works = (await phone.state(again)) === "active";
    if (works) await phone.ask("hangup", again);
    return works;
  });
  await phone.close();
});

test("R9: the VSP dies: the audio goes on at both ends for the grace time, and then the gateway ends it", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const { id, call } = await talk(phone, carrier);
  const { rtp } = call;
  const killedAt = Date.now();
  await world.processes.vsp.stop("SIGKILL");
  rtp.watchGaps();
  const enough = rtp.packetsReceived + GOES_ON_PACKETS;
  await until("audio arrives at the carrier", () => rtp.packetsReceived >= enough);
  await bothHear(phone, id, call);
  assert.ok(rtp.gapMaxMs < GAP_MAX_MS, `a gap of ${rtp.gapMaxMs} ms`);
  let last = rtp.packetsReceived;
  const isSilent = () => {
    const before = last;
    last = rtp.packetsReceived;
    return last === before;
  };
  await lasting("the gateway has given up", isSilent, SILENT_MS);
  assert.ok(rtp.lastPacketAt - killedAt >= (CONTROL_GRACE_S - 1) * 1_000);
  await world.startRole("vsp");
  await phone.close();
});

test("a VSP that comes back serves new calls", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const { id } = await talk(phone, carrier);
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});

test("R3: the VSP has no media: all RTP of a call is between browser, gateway and carrier", async () => {
  const carrier = await world.carrier({ toneHz: CARRIER_HZ });
  const phone = await world.loggedIn();
  const { id, call } = await talk(phone, carrier);
  const offer = call.invite.body;
  const port = Number(/^m=audio (\d+)/m.exec(offer)[1]);
  assert.ok(openUdpPorts(world.processes["b2bua-rtc"].pid).includes(port), "the RTP port is the gateway's");
  assert.deepEqual(openUdpPorts(world.processes.vsp.pid), [world.ports.vspSip], "the VSP has SIP alone");
  await phone.ask("hangup", id);
  await phone.untilEnded(id);
  await phone.close();
});
