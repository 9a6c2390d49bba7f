// `offhook up` as it comes: no configuration, the demo carrier, the page. What a newcomer does first.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchBrowser } from "../lib/browser.mjs";
import { Offhook } from "../lib/offhook.mjs";
import { LOUD, Softphone } from "../lib/softphone.mjs";
import { until } from "../lib/wait.mjs";

let offhook;
let browser;
let softphone;
before(async () => {
  offhook = await Offhook.startDemo();
  browser = await launchBrowser();
  softphone = await Softphone.open(browser, `${offhook.printed("Open")}/`);
});
after(async () => {
  await browser?.close();
  await offhook?.stop();
});

/** Calls one of the listed numbers; gives its card. */
async function call(number) {
  await softphone.page.locator(`[data-number="${number}"]`).click();
  return softphone.page.locator(".call").first();
}

async function hangUp() {
  await softphone.page
    .getByRole("button", { name: /Hang up|Cancel/ })
    .first()
    .click();
  await softphone.page.locator('.call:not([data-state="destroy"])').first().waitFor({ state: "detached" });
}

test("what it prints tells where to click, how to log in and what to dial", () => {
  const text = offhook.log.join("\n");
  for (const expected of ["http://localhost:", "alice-demo", "9196", "9104"])
    assert.ok(text.includes(expected), text);
});

test("two clicks to a call: alice is filled in, echo is on the list", async () => {
  assert.equal(await softphone.user().inputValue(), "alice");
  await softphone.screenshot("demo-login");
  await softphone.page.getByRole("button", { name: "Sign in" }).click();
  await softphone.page.waitForSelector(".phone");
  await softphone.screenshot("demo-ready");
  await call("9196");
  await softphone.card("active");
  await softphone.untilLoud("You");
  await softphone.untilLoud("Far end");
  await softphone.page.getByText(/^(0:0[3-9]|0:[1-5]\d|[1-9]\d*:\d\d)$/).waitFor();
  await softphone.screenshot("demo-echo");
  await hangUp();
});

test("9197 plays a tone", async () => {
  await call("9197");
  await softphone.card("active");
  await softphone.untilLoud("Far end");
  await hangUp();
});

test("9198 is heard before it answers", async () => {
  const card = await call("9198");
  await until("the far end is heard while it has not answered", async () => {
    const isLoud = (await softphone.level("Far end")) > LOUD;
    return isLoud && (await card.getAttribute("data-state")) !== "active";
  });
  await softphone.card("active");
  await hangUp();
});

test("9199 reads digits back", async () => {
  await call("9199");
  await softphone.card("active");
  await until("the greeting is over", async () => (await softphone.level("Far end")) < 5);
  await softphone.page.keyboard.press("7");
  await softphone.page.keyboard.press("#");
  await softphone.untilLoud("Far end");
  await hangUp();
});

for (const [number, words] of [
  ["9101", "Busy: they are on another call."],
  ["9102", "They declined the call."],
  ["9104", "This number does not exist."],
]) {
  test(`${number} ends with "${words}"`, async () => {
    await call(number);
    await softphone.page.locator(".call-end").first().getByText(words).waitFor();
  });
}

test("9103 rings until one gives up", async () => {
  await call("9103");
  await softphone.card("ringing");
  await softphone.untilLoud("Far end");
  await hangUp();
});

test("Ctrl-C ends the call that runs, and leaves cleanly", async () => {
  await call("9197");
  await softphone.card("active");
  assert.equal(await offhook.stop("SIGINT"), 0);
  await softphone.page.locator('.call[data-state="active"]').waitFor({ state: "detached" });
});
