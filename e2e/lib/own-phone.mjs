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

  async logIn(login) {
    await this.ask("connect", { host: this.#host, login, password: USERS[login] });
    await until("ready", async () => (await this.ask("ready")) > 0);
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
