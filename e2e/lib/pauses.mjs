// How long the carrier hears nothing while something happens to the client. A busy machine makes pauses of its own; a call of
// the same gateway to which nothing happens is the witness of those.
import assert from "node:assert/strict";
import { startCarrier } from "./carrier.mjs";
import { USERS } from "./config.mjs";
import { browserSdp, RawClient } from "./raw.mjs";
import { until } from "./wait.mjs";

/** The demand: no pause at the carrier is longer, whatever the client goes through. */
const PAUSE_MAX_MS = 100;
/** A pause of the machine's does not come each time; one of ours does. */
const TRIES = 3;

/** What a gateway needs to keep the witness, whose browser has no media, for as long as a test takes. */
export const PATIENT_GATEWAY = { "timeouts.ice_s": 900 };

/** Places the witness's call, by +492…; gives it as its carrier sees it, with `end()`. */
export async function placeWitness(world) {
  const carrier = await startCarrier({ port: world.ports.carriers.sipp });
  const client = await RawClient.open(world.host);
  await client.logIn("bob", USERS.bob);
  const dialogParams = { callID: crypto.randomUUID(), destination_number: "+492000" };
  await client.request("telnyx_rtc.invite", { sdp: browserSdp("actpass"), dialogParams });
  const call = await until("audio of the witness", () =>
    carrier.calls.find(({ rtp }) => rtp.packetsReceived > 0),
  );
  const end = async () => {
    await client.request("telnyx_rtc.bye", { dialogParams });
    client.close();
    await carrier.close();
  };
  return { rtp: call.rtp, end };
}

/** Does `act`, in which the carrier of `call` must not hear a pause that `witness` does not hear too. */
export async function withoutPause(call, witness, act) {
  const pauses = [];
  for (let time = 0; time < TRIES; time += 1) {
    call.rtp.watchGaps();
    witness.rtp.watchGaps();
    await act();
    const [pause, same] = [call.rtp.gapMaxMs, witness.rtp.gapMaxMs];
    if (pause - same <= PAUSE_MAX_MS) return;
    pauses.push(`${pause} ms (the witness: ${same} ms)`);
  }
  assert.fail(`pauses at the carrier: ${pauses.join(", ")}`);
}
