// The page that the server itself serves, used as a person would.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "./wait.mjs";

/** No measure of anything: a busy machine may take its time. */
const LIMIT_MS = 45_000;
/** A level meter, from 0 to 100, that shows sound. */
export const LOUD = 20;
const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

export class Softphone {
  page;
  problems = [];

  static async open(browser, url, contextOptions = {}) {
    const softphone = new Softphone();
    const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...contextOptions });
    softphone.page = await context.newPage();
    softphone.page.setDefaultTimeout(LIMIT_MS);
    softphone.page.on("pageerror", (error) => softphone.problems.push(String(error)));
    softphone.page.on("console", (message) => {
      // The page asks every server whether it is the demo; that others say no is no problem.
      const aboutDemo = message.location().url.endsWith("/demo.json");
      if (message.type() === "error" && !aboutDemo) softphone.problems.push(message.text());
    });
    await softphone.page.goto(url);
    return softphone;
  }

  async signIn(user, password) {
    await this.user().fill(user);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  user() {
    return this.page.getByRole("textbox", { name: "User" });
  }

  async dial(number) {
    await this.page.getByLabel("Number to call").fill(number);
    await this.page.getByRole("button", { name: "Call", exact: true }).click();
  }

  /** Waits for a card in this state. */
  card(state) {
    return this.page.waitForSelector(`.call[data-state="${state}"]`);
  }

  /** The value of a level meter, from 0 to 100. */
  async level(label) {
    return Number(await this.page.getByRole("meter", { name: label }).first().getAttribute("aria-valuenow"));
  }

  untilLoud(label) {
    return until(`the meter "${label}" moves`, async () => (await this.level(label)) > LOUD);
  }

  fact(name) {
    return this.page.locator(`[data-fact="${name}"] dd`).first().textContent();
  }

  screenshot(name) {
    mkdirSync(RESULTS, { recursive: true });
    return this.page.screenshot({ path: `${RESULTS}${name}.png` });
  }

  close() {
    return this.page.context().close();
  }
}
