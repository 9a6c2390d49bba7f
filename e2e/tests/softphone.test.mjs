// The softphone as the server serves it: sign in, call, talk, send digits, hang up; errors in words.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { USERS } from "../lib/config.mjs";
import { Softphone } from "../lib/softphone.mjs";
import { until } from "../lib/wait.mjs";
import { World } from "../lib/world.mjs";

let world;
let softphone;
before(async () => {
  world = await World.open();
  softphone = await Softphone.open(await world.browser(), `http://127.0.0.1:${world.ports.http}/`);
});
afterEach(() => world.closeCarriers());
after(() => world.close());

test("a wrong password is said in words, with what to do", async () => {
  await softphone.signIn("alice", "wrong");
  const problem = softphone.page.locator(".problem");
  await problem.waitFor({ state: "visible" });
  assert.match(await problem.textContent(), /refused the login.*password/s);
});

test("sign in, call the echo, and see both levels move", async () => {
  await world.carrier({ toneHz: "echo" });
  await softphone.signIn("alice", USERS.alice);
  await softphone.page.waitForSelector(".phone");
  await softphone.dial("+491000");
  await softphone.card("active");
  await softphone.untilLoud("You");
  await softphone.untilLoud("Far end");
  await until("the codec is shown", async () => /PCMU|opus/i.test((await softphone.fact("codec")) ?? ""));
  await softphone.page.getByText(/^(0:0[3-9]|0:[1-5]\d|[1-9]\d*:\d\d)$/).waitFor();
  await softphone.screenshot("softphone-talking");
  await softphone.page.getByRole("button", { name: "Hang up" }).click();
  await softphone.card("destroy");
  assert.match(await softphone.page.locator(".call-end").first().textContent(), /You hung up/);
});

test("mute, and digits from the keypad and the keyboard", async () => {
  const carrier = await world.carrier({ toneHz: 440 });
  await softphone.dial("+491000");
  await softphone.card("active");
  await softphone.untilLoud("Far end");
  await softphone.page.getByRole("button", { name: "Keypad" }).click();
  const pad = softphone.page.getByRole("group", { name: "Send digits" });
  await pad.getByRole("button", { name: "4", exact: true }).click();
  await softphone.page.keyboard.press("2");
  await until("42 at the carrier", () => carrier.calls[0].rtp.digits === "42");
  await softphone.page.getByRole("button", { name: "Mute" }).click();
  await until("silence at the carrier", () => carrier.calls[0].rtp.heardLevel() < 60);
  await softphone.page.getByRole("button", { name: "Hang up" }).click();
  await until("BYE at the carrier", () => carrier.calls[0].endedBy === "bye");
});

test("a busy number says so in words and in the network's own", async () => {
  await world.carrier({ script: (call) => call.reject(486, "Busy Here") });
  await softphone.dial("+491000");
  await softphone.page.getByText("Busy: they are on another call.").first().waitFor();
  await softphone.page.getByText("486 Busy Here · USER_BUSY (17)").first().waitFor();
  await softphone.screenshot("softphone-ended");
});

test("the whole page works by keyboard alone", async () => {
  await world.carrier({ toneHz: 440 });
  await softphone.page.getByLabel("Number to call").focus();
  await softphone.page.keyboard.press("ControlOrMeta+a");
  await softphone.page.keyboard.type("+491000");
  await softphone.page.keyboard.press("Enter");
  await softphone.card("active");
  await softphone.page.getByRole("button", { name: "Hang up" }).focus();
  await softphone.page.keyboard.press("Enter");
  await softphone.page.locator('.call[data-state="active"]').waitFor({ state: "detached" });
});

test("dark colours, a small screen, and no error in the console", async () => {
  await softphone.page.emulateMedia({ colorScheme: "dark" });
  await softphone.page.setViewportSize({ width: 390, height: 844 });
  await softphone.screenshot("softphone-dark-small");
  assert.deepEqual(softphone.problems, []);
});

test("alice and bob call each other from two windows: it rings, both talk, one hangs up", async () => {
  const bob = await Softphone.open(await world.browser(), `http://127.0.0.1:${world.ports.http}/`);
  await bob.signIn("bob", USERS.bob);
  await bob.page.waitForSelector(".phone");
  await softphone.page.setViewportSize({ width: 1180, height: 900 });
  await softphone.dial("bob");
  await bob.card("ringing");
  await bob.screenshot("softphone-incoming");
  await bob.page.getByRole("button", { name: "Answer" }).click();
  await Promise.all([bob.card("active"), softphone.card("active")]);
  await Promise.all([bob.untilLoud("Far end"), softphone.untilLoud("Far end")]);
  await bob.page.getByRole("button", { name: "Transfer" }).click();
  await bob.page.getByLabel("Transfer to").waitFor();
  await bob.screenshot("softphone-two-browsers");
  await softphone.page.getByRole("button", { name: "Hang up" }).click();
  await bob.card("destroy");
  assert.match(await bob.page.locator(".call-end").first().textContent(), /They hung up/);
  assert.deepEqual(bob.problems, []);
  await bob.close();
});
