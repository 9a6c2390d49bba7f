// Waiting for conditions. No test sleeps: each says what it waits for and how long that may take.

const POLL_MS = 20;

/** Resolves with the first truthy value of `condition`; fails with `what` when `timeoutMs` are over. */
export async function until(what, condition, timeoutMs = 10_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(POLL_MS);
  }
}

/** Fails as soon as `condition`, asked every `pollMs`, is false during `ms`: for what must not happen. */
export async function throughout(what, condition, ms, pollMs = POLL_MS) {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    if (!(await condition())) throw new Error(`no longer so within ${ms} ms: ${what}`);
    await pause(pollMs);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
