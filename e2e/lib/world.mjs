// One deployment with everything around it: the binary, a browser, carriers. Made once for a test file.
import { startBaresip, startPhone } from "./baresip.mjs";
import { launchBrowser } from "./browser.mjs";
import { startCarrier } from "./carrier.mjs";
import { configuration, drawPorts, PHONE_PASSWORD, USERS } from "./config.mjs";
import { Offhook } from "./offhook.mjs";
import { OwnPhone } from "./own-phone.mjs";
import { servePages } from "./pages.mjs";
import { placeWitness } from "./pauses.mjs";
import { Phone } from "./phone.mjs";
import { freePort } from "./ports.mjs";
import { RawPhone } from "./raw-phone.mjs";
import { startSipp } from "./sipp.mjs";
import { startTurn } from "./turn.mjs";
import { until } from "./wait.mjs";
import { Wiretap } from "./wiretap.mjs";

const ROLES = ["sip-proxy", "b2bua-rtc", "vsp"];

export class World {
  ports;
  tap = null;
  /** All roles in one process; `null` in a deployment of three. */
  offhook = null;
  /** By role, in a deployment of three. */
  processes = {};
  #browser = null;
  #pages = null;
  #options;
  #closers = [];

  /** Everything in one process; with `tapped`, every packet between VSP, SIP proxy and carrier passes `world.tap`. */
  static async open(options = {}) {
    const world = new World();
    world.#options = options;
    world.ports = await drawPorts();
    if (options.tapped) await world.#tapLines();
    await world.restart();
    return world;
  }

  async #tapLines() {
    const { proxy, vspSip: vsp, carriers } = this.ports;
    this.tap = await Wiretap.open(proxy, { vsp, own: carriers.own });
    this.ports.seen = this.tap.seen;
  }

  /** Starts the one process anew, after it has ended. */
  async restart() {
    this.offhook = await Offhook.start({
      config: configuration(this.ports, this.#options, ROLES),
      admin: this.ports.admin.up,
      files: this.#options.files,
    });
  }

  /** Each role a process of its own. */
  static async openThree(options = {}) {
    const world = new World();
    world.#options = options;
    world.ports = await drawPorts();
    for (const role of ROLES) await world.startRole(role);
    return world;
  }

  async startRole(role) {
    this.processes[role] = await Offhook.start({
      command: role,
      config: configuration(this.ports, this.#options, [role], true),
      admin: this.ports.admin[role],
    });
  }

  /** Where clients connect to. */
  get host() {
    return `ws://127.0.0.1:${this.ports.http}`;
  }

  /** A new tab with the public SDK, not yet connected; with an older `release` of it if named. */
  async phone(release = null) {
    this.#browser ??= await launchBrowser();
    this.#pages ??= await servePages();
    return Phone.open(this.#browser, this.#pages, this.host, release);
  }

  /** A tab in which alice, or another user, is logged in. */
  async loggedIn(user = "alice", options = {}) {
    const phone = await this.phone();
    await phone.logIn(user, USERS[user], options);
    return phone;
  }

  /** A new tab with our own SDK, not yet connected. */
  async ownPhone() {
    this.#browser ??= await launchBrowser();
    this.#pages ??= await servePages();
    return OwnPhone.open(this.#browser, this.#pages, this.host);
  }

  /** A new tab at a path of the tests' pages. */
  async page(path) {
    this.#browser ??= await launchBrowser();
    this.#pages ??= await servePages();
    const page = await (await this.#browser.newContext()).newPage();
    await page.goto(`${this.#pages.url}${path}`);
    return page;
  }

  async browser() {
    this.#browser ??= await launchBrowser();
    return this.#browser;
  }

  /** The measuring carrier, reached by +491… */
  carrier(options) {
    const ports = { port: this.ports.carriers.own, contactPort: this.tap?.seen.neighbours.own };
    return this.#opened(startCarrier({ ...ports, ...options }), (carrier) => carrier.close());
  }

  /** SIPp, reached by +492… */
  sipp(scenario, options) {
    const port = this.ports.carriers.sipp;
    return this.#opened(startSipp(scenario, { port, ...options }), (sipp) => sipp.stop());
  }

  /** baresip, reached by `number` (+493…) alone. */
  baresip(options) {
    const port = this.ports.carriers.baresip;
    return this.#opened(startBaresip({ port, ...options }), (baresip) => baresip.stop());
  }

  /** A TURN server. */
  turn() {
    return this.#opened(startTurn(), (turn) => turn.stop());
  }

  /** A call to which nothing happens; see `pauses.mjs`. */
  witness() {
    return this.#opened(placeWitness(this), (witness) => witness.end());
  }

  /** A SIP phone of alice's, registered at the SIP proxy. */
  async sipPhone(options = {}) {
    const port = await freePort();
    const account = { user: "alice", password: PHONE_PASSWORD, registrar: this.ports.proxy };
    return this.#opened(startPhone({ port, ...account, ...options }), (phone) => phone.stop());
  }

  /** A SIP phone that says what the test wants; not yet registered. */
  rawPhone() {
    return this.#opened(RawPhone.open(this.ports.proxy), (phone) => phone.close());
  }

  /** Waits until the server knows that no client of a user is connected any more; sessions with calls are kept for a while. */
  untilAway(user) {
    return until(`${user} is not connected`, async () =>
      (await this.#sessions(user)).every(({ connected }) => !connected),
    );
  }

  /** Waits until the server has no session of a user any more. */
  untilGone(user) {
    return until(`${user} has no session`, async () => (await this.#sessions(user)).length === 0);
  }

  async #sessions(user) {
    const owner = this.offhook ?? this.processes.vsp;
    return (await owner.admin(`/sessions?user=${user}`)).sessions;
  }

  /** Stops the carriers of a test, and what else it has started: call it after each. */
  async closeCarriers() {
    const closers = this.#closers.splice(0);
    await Promise.all(closers.map((close) => close()));
  }

  async close() {
    await this.#browser?.close();
    await this.#pages?.close();
    await this.closeCarriers();
    for (const offhook of [this.offhook, ...Object.values(this.processes)]) await offhook?.stop();
    await this.tap?.close();
  }

  async #opened(starting, close) {
    const opened = await starting;
    this.#closers.push(() => close(opened));
    return opened;
  }
}
