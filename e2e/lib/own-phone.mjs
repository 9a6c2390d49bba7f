// One browser tab with our own SDK.
import { USERS } from "./config.mjs";
import { until } from "./wait.mjs";

export class OwnPhone {
  #page;
  #host;

  static async open(browser, pages, host) {
    const phone = new OwnPhone();
    phone.#page = await (await browser.newContext()).newPage();
    phone.#host = host;
    await phone.#page.goto(`${pages.url}own`);
    return phone;
  }

  get page() {
    return this.#page;
  }

  ask(name, ...args) {
    return this.#page.evaluate(([fn, list]) => window.own[fn](...list), [name, args]);
  }

  async logIn(login, options = {}) {
    await this.ask("connect", { host: this.#host, login, password: USERS[login], ...options });
    await until("ready", async () => (await this.ask("ready")) > 0);
  }

  /** Loads the page anew, as a user does. */
  reload() {
    return this.#page.reload();
  }

  /** What the SDK told of the connection, in order. */
  connection() {
    return this.#page.evaluate(() => window.own.connection);
  }

  /** The errors that the app was told of. */
  errors() {
    return this.#page.evaluate(() => window.own.errors);
  }

  call(number) {
    return this.ask("call", number);
  }

  hangup(id) {
    return this.ask("hangup", id);
  }

  async states(id) {
    const all = await this.#page.evaluate(() => window.own.states);
    return all.filter((each) => each.id === id).map((each) => each.state);
  }

  untilState(id, state) {
    return until(`our SDK says ${state}`, async () => (await this.states(id)).includes(state));
  }

  close() {
    return this.#page.context().close();
  }
}
