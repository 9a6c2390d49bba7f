// One browser tab with the public SDK, from the test's side.
import { until } from "./wait.mjs";

const ENDED = ["destroy", "hangup"];

export class Phone {
  #page;
  #host;
  /** Whatever the page itself got wrong: a test may want it to be empty. */
  pageErrors = [];

  /** Opens a tab that will talk to the VSP at `host` (a `ws://` address), with an older `release` of the SDK if named. */
  static async open(browser, pages, host, release = null) {
    const context = await browser.newContext();
    const phone = new Phone();
    phone.#page = await context.newPage();
    phone.#host = host;
    phone.#page.on("pageerror", (error) => phone.pageErrors.push(String(error)));
    await phone.#page.goto(release ? `${pages.url}${release}/` : pages.url);
    return phone;
  }

  get page() {
    return this.#page;
  }

  /** Calls a function of the page's `phone` object. */
  ask(name, ...args) {
    return this.#page.evaluate(([fn, list]) => window.phone[fn](...list), [name, args]);
  }

  records() {
    return this.#page.evaluate(() => window.phone.records);
  }

  /** Every frame of the page's sockets, in order. */
  frames() {
    return this.ask("frames");
  }

  /** What one side (`client` or `server`) has asked of the other, in order, in one call or at all: no results, no pings. */
  async requests(from, id = null) {
    return (await this.frames())
      .filter((each) => each.from === from && each.frame.method && !/ping$/.test(each.frame.method))
      .map(({ frame: { method, params = {} } }) => ({ method: method.replace(/^telnyx_rtc\./, ""), params }))
      .filter(({ params }) => id === null || id === (params.callID ?? params.dialogParams?.callID));
  }

  /** The params of what the server has said about a call with one method. */
  async told(method, id) {
    const said = await this.requests("server", id);
    return said.filter((each) => each.method === method).map(({ params }) => params);
  }

  /** What the app was told of the far end's holds: `held` and `active`, in order. */
  async farHolds(id) {
    return (await this.records()).notifications
      .filter(({ callId, params }) => callId === id && params.eventData?.kind === "farHold")
      .map(({ params }) => params.eventData.holdState);
  }

  /** Connects without waiting for the outcome. */
  connect(options) {
    return this.ask("connect", { host: this.#host, ...options });
  }

  /** Logs in and waits until the SDK says that it is ready. */
  async logIn(login, password, options = {}) {
    await this.connect({ login, password, ...options });
    await until("telnyx.ready", async () => (await this.records()).ready > 0);
  }

  /** Does `act`, after which the SDK is to say anew that it is ready, and waits until it does. */
  async readyAfter(act) {
    const { ready } = await this.records();
    await act();
    await until("ready again", async () => (await this.records()).ready > ready);
  }

  /** Loads the page anew: it knows nothing of before but what the SDK has kept. */
  async reload() {
    await this.#page.reload();
  }

  /** Leaves the page for an empty one; `come` is the way back. */
  async leave() {
    const url = this.#page.url();
    await this.#page.goto("about:blank");
    return () => this.#page.goto(url);
  }

  call(destinationNumber, options = {}) {
    return this.ask("call", { destinationNumber, ...options });
  }

  look(id) {
    return this.ask("look", id);
  }

  async state(id) {
    return (await this.look(id)).state;
  }

  /** The states that the app was told of, in order. */
  async states(id) {
    return (await this.records()).states.filter((each) => each.id === id).map((each) => each.state);
  }

  untilState(id, state) {
    return until(`call is ${state}`, async () => {
      const now = await this.state(id);
      if (now === state) return true;
      if (ENDED.includes(now) && !ENDED.includes(state)) {
        throw new Error(
          `the call ended instead of becoming ${state}: ${JSON.stringify(await this.look(id))}`,
        );
      }
      return false;
    });
  }

  /** Waits for the end; gives what the app sees then. */
  async untilEnded(id) {
    await until("call is over", async () => (await this.state(id)) === "destroy");
    return this.look(id);
  }

  /** Waits until the page hears a tone of about `hz`. */
  untilHears(id, hz) {
    return until(`the browser hears ${hz} Hz`, async () => near(await this.ask("heardHz", id), hz));
  }

  untilSilent(id) {
    return until("the browser hears nothing", async () => (await this.ask("heardHz", id)) === null);
  }

  async close() {
    await this.#page.context().close();
  }
}

/** Whether a measured frequency is the one meant. */
export function near(measured, hz) {
  return measured !== null && Math.abs(measured - hz) <= 12;
}
