// Waiting for conditions. No test sleeps: each says what it waits for. A busy machine may take its time: the limits are there to
// end a test that hangs, and no measure of anything.

const POLL_MS = 20;
const LIMIT_MS = 45_000;

/** Resolves with the first truthy value of `condition`; fails with `what` when `timeoutMs` are over. */
export async function until(what, condition, timeoutMs = LIMIT_MS) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    // Asked once more after the end, for this process may have stood still until then.
    const isLast = Date.now() > deadline;
    const value = await condition();
    if (value) return value;
    if (isLast) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(POLL_MS);
  }
}

/** Fails as soon as `condition`, asked every `pollMs`, is false during `ms`: for what must not happen. */
export async function throughout(what, condition, ms, pollMs = POLL_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const isLast = Date.now() >= deadline;
    if (!(await condition())) throw new Error(`no longer so within ${ms} ms: ${what}`);
    if (isLast) return;
    await pause(pollMs);
  }
}

/** Waits until `condition` has been true for `ms` without a break: for what comes to rest. */
export async function lasting(what, condition, ms) {
  let since = Date.now();
  await until(`${what} for ${ms} ms`, async () => {
    if (!(await condition())) since = Date.now();
    return Date.now() - since >= ms;
  });
}

/** Lets time pass, and then reads what has come in meanwhile: what is asked next is not asked of a process that stood still. */
async function pause(ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  await new Promise((resolve) => setImmediate(resolve));
}
