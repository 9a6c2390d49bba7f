// The code samples of the platform's description, as an app's author writes them, in our SDK and in the public one: only the
// host differs; and those of our guides. R51, R52, R54, R55, R56, R68, R71.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { openCuttable } from "../lib/cuttable.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

const ALICE = "+15550105";

let world;
before(async () => {
  world = await World.open();
});
afterEach(() => world.closeCarriers());
after(() => world.close());

/** What an app does, as one script; `TelnyxRTC`, `host`, `login`, `password` and `seen` are given to it. */
const APP = `
  const client = new TelnyxRTC({ login, password, host, iceServers: [] });
  client.on("telnyx.ready", () => {
    seen.ready = true;
  });
  client.on("telnyx.notification", (notification) => {
    if (notification.type === "callUpdate") {
      const call = notification.call;
      seen.states.push(call.state);
      if (call.state === "ringing" && call.direction === "inbound") {
        seen.customHeaders = call.customHeaders ?? call.options.customHeaders;
        call.answer();
      }
    }
  });
  client.connect();
  seen.makeCall = () => {
    seen.call = client.newCall({
      destinationNumber: "+491000",
      callerNumber: "+15550105",
      customHeaders: [
        { name: "X-My-Header", value: "value1" },
        { name: "X-Another", value: "value2" },
      ],
    });
  };
`;

const SDKS = {
  "our SDK": ["own", "Offhook.TelnyxRTC"],
  "the public SDK": ["", "TelnyxWebRTC.TelnyxRTC"],
};

/** A page that runs the sample. */
async function app([path, constructor]) {
  const page = await world.page(path);
  await page.evaluate(
    ([code, name, host, login, password]) => {
      const TelnyxRTC = name.split(".").reduce((found, key) => found[key], window);
      window.seen = { states: [] };
      new Function("TelnyxRTC", "host", "login", "password", "seen", code)(
        TelnyxRTC,
        host,
        login,
        password,
        window.seen,
      );
    },
    [APP, constructor, world.host, "alice", USERS.alice],
  );
  await until("ready", () => page.evaluate(() => window.seen.ready));
  return page;
}

for (const [name, sdk] of Object.entries(SDKS)) {
  test(`R54, R55, R71: ${name}: connect, and a call with headers`, async () => {
    const carrier = await world.carrier();
    const page = await app(sdk);
    await page.evaluate(() => window.seen.makeCall());
    await until("active", () => page.evaluate(() => window.seen.states.includes("active")));
    const { invite } = carrier.calls[0];
    const named = invite.headers.filter((each) => each.name.startsWith("x-") && !/offhook/.test(each.name));
    assert.deepEqual(named, [
      { name: "x-my-header", value: "value1" },
      { name: "x-another", value: "value2" },
    ]);
    await page.evaluate(() => void window.seen.call.hangup());
    await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
    await page.context().close();
  });

  test(`R56, R68, R71: ${name}: a call comes with headers, and is answered by the handler`, async () => {
    const carrier = await world.carrier();
    const page = await app(sdk);
    const call = await carrier.dial(world.ports.proxy, ALICE, { headers: ["X-Caller-Name: John"] });
    await call.untilStatus(200);
    const headers = await page.evaluate(() => JSON.parse(JSON.stringify(window.seen.customHeaders)));
    assert.deepEqual(headers, [{ name: "X-Caller-Name", value: "John" }]);
    if (sdk === SDKS["our SDK"]) {
      const byName = await page.evaluate(() => window.seen.customHeaders["X-Caller-Name"]);
      assert.equal(byName, "John");
    }
    call.hangup();
    await until("the app is told", () => page.evaluate(() => window.seen.states.includes("hangup")));
    await page.context().close();
  });
}

/** The samples of a guide, in their order: functions `phone(options, show)`. */
function samplesOf(guide) {
  const text = readFileSync(new URL(`../../docs/guides/${guide}.md`, import.meta.url), "utf8");
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) =>
    code.replace(/^import .*$/m, "").replace(/^export /m, "return "),
  );
}

/** A page on which the sample runs as `login`, behind a network that can be cut: `{ page, network, shown() }`. */
async function guided(code, [path, constructor], options) {
  const network = await openCuttable(world.ports.http);
  const page = await world.page(path);
  await page.evaluate(
    ([code, name, given]) => {
      const constructor = name.split(".").reduce((found, key) => found[key], window);
      window.shown = [];
      const phone = new Function(name.split(".").at(-1), code)(constructor);
      window.client = phone(given, (text) => window.shown.push(text));
    },
    [code, constructor, { host: network.host, login: "alice", password: USERS.alice, ...options }],
  );
  const shown = () => page.evaluate(() => window.shown);
  await until("connected", async () => (await shown()).includes("connected"));
  return { page, network, shown };
}

const [OURS, PUBLIC] = samplesOf("reconnection");

test("R51, R52: the guide's sample tells of the loss, each try, the return, and of giving up", async () => {
  const sdk = ["own", "Offhook.OffhookClient"];
  const patient = await guided(OURS, sdk, {});
  patient.network.cut();
  await until("restored", async () => (await patient.shown()).lastIndexOf("connected") > 0);
  assert.deepEqual(await patient.shown(), [
    "connected",
    "connection lost; calls go on",
    "try 1 in 1 s",
    "restored",
    "connected",
  ]);
  await patient.page.context().close();
  await patient.network.close();

  const { page, network, shown } = await guided(OURS, sdk, { reconnectWindowMs: 2_000 });
  network.down();
  await until("given up", async () => (await shown()).includes("given up for now"));
  const [connected, lost, ...tries] = await shown();
  assert.deepEqual([connected, lost], ["connected", "connection lost; calls go on"]);
  assert.equal(tries.pop(), "given up for now");
  assert.equal(tries[0], "try 1 in 1 s");
  // As many as the window has time for.
  for (const [at, text] of tries.entries()) assert.match(text, new RegExp(`^try ${at + 1} in \\d+ s$`));
  network.up();
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await until("back", async () => (await shown()).at(-1) === "connected");
  await page.context().close();
  await network.close();
});

test("R52: the same in the public SDK", async () => {
  const sdk = ["", "TelnyxWebRTC.TelnyxRTC"];
  const { page, network, shown } = await guided(PUBLIC, sdk, { iceServers: [], maxReconnectAttempts: 1 });
  network.cut();
  await until("restored", async () => (await shown()).includes("restored"));
  assert.deepEqual(await shown(), ["connected", "connection lost; try 1", "restored"]);
  network.down();
  await until("given up", async () => (await shown()).includes("given up"));
  assert.equal((await shown())[3], "connection lost; try 1");
  await page.context().close();
  await network.close();
});
