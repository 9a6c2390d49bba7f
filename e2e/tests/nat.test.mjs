// A browser behind NAT: no address of its own that the gateway could reach, no relay. What our STUN told it is all that it
// can offer. R40, C30.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchBrowser } from "../lib/browser.mjs";
import { USERS } from "../lib/config.mjs";
import { openCuttable } from "../lib/cuttable.mjs";
import { NoNamespaces, openNat } from "../lib/nat.mjs";
import { servePages } from "../lib/pages.mjs";
import { Phone } from "../lib/phone.mjs";
import { CARRIER_HZ, hangUp, talk } from "../lib/talk.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

let nat;
/** Why this cannot be tested here, if it cannot. */
let absent = false;
try {
  nat = await openNat();
} catch (error) {
  if (!(error instanceof NoNamespaces)) throw error;
  absent = error.message;
}

let world;
let wayOut;
let pages;
let browser;
before(async () => {
  if (absent) return;
  world = await World.open({ mediaHost: nat.gateway });
  wayOut = await openCuttable(world.ports.http, nat.gateway);
  pages = await servePages();
  browser = await launchBrowser(nat.executable);
});
after(async () => {
  await browser?.close();
  await pages?.close();
  await wayOut?.close();
  await world?.close();
  nat?.close();
});

/** The browser's own `RTCPeerConnection`, whose descriptions name no candidate but server-reflexive ones. */
function onlyServerReflexive() {
  const others = /^a=candidate:(?!.* typ srflx ).*\r\n/gm;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    get localDescription() {
      const description = super.localDescription;
      return description && { type: description.type, sdp: description.sdp.replaceAll(others, "") };
    }
  };
}

/** A tab of the browser inside. Its page comes from this machine's loopback, as if from its own: a secure context. */
async function phoneInside() {
  const tabs = {
    async newContext() {
      const context = await browser.newContext();
      await context.route(`${pages.url}**`, async (route) =>
        route.fulfill({ response: await route.fetch() }),
      );
      await context.addInitScript(onlyServerReflexive);
      return context;
    },
  };
  const phone = await Phone.open(tabs, pages, wayOut.host);
  const iceServers = [{ urls: `stun:${nat.gateway}:${world.ports.stun}` }];
  await phone.logIn("alice", USERS.alice, { iceServers });
  return phone;
}

test(
  "R40, C30: with nothing but a server-reflexive candidate both ends hear each other",
  { skip: absent },
  async () => {
    assert.notEqual(
      await nat.deviceTowardsBrowser(),
      nat.device,
      "the gateway has no way to the browser's own address",
    );
    const phone = await phoneInside();
    const carrier = await world.carrier({ toneHz: CARRIER_HZ });
    const { id, call } = await talk(phone, carrier);

    const { frame: invite } = (await phone.frames()).find(
      ({ frame }) => frame.method === "telnyx_rtc.invite",
    );
    const candidates = [...invite.params.sdp.matchAll(/^a=candidate:.* udp \d+ (\S+) \d+ typ (\S+) /gim)];
    assert.deepEqual(
      candidates.map(([, address, type]) => [type, address]),
      [["srflx", nat.outside]],
      invite.params.sdp,
    );

    const { local, remote } = await phone.ask("candidates", id);
    assert.deepEqual([local.type, local.address], ["srflx", nat.outside]);
    assert.deepEqual(remote, { type: "host", address: nat.gateway, port: world.ports.webrtc });
    const connected = await until("the trace tells of it", async () =>
      (await world.offhook.trace(id)).events.find(({ name }) => name === "ice-connected"),
    );
    const [peer] = connected.detail.split(" ");
    assert.equal(peer, `${nat.outside}:${local.port}`, "the gateway talks with the NAT");

    await hangUp(phone, id, call);
    await phone.close();
  },
);
