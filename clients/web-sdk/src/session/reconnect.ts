/**
 * When to try again. A pure policy: a lost connection is tried after 1, 2, 4, 8 and 15 s; after these ~30 s the
 * session counts as disconnected, and slower tries go on in the background. Only `ready` starts over.
 *
 *   lost ─► fast 1 s ─► 2 s ─► 4 s ─► 8 s ─► 15 s ─► background 30 s ─► 60 s ─► 60 s …
 */

const FAST_DELAYS_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;
const BACKGROUND_DELAYS_MS = [30_000, 60_000] as const;
/** Spread of the delays, so that the clients of a restarted server do not come back in step. */
const JITTER_SHARE = 0.25;

export interface ReconnectState {
  /** Tries scheduled since the session was last ready. */
  readonly attempts: number;
}

export interface ReconnectStep {
  /** The try that follows, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  /** `background`: the app has been told that the session is disconnected. */
  readonly phase: "fast" | "background";
  /** True on the one step at which the fast tries are used up. */
  readonly exhausted: boolean;
}

export const RECONNECT_START: ReconnectState = { attempts: 0 };

/** The next try. `random` in [0, 1) spreads every try but the first, which should be quick and even. */
export function nextTry(state: ReconnectState, random: number): [ReconnectState, ReconnectStep] {
  const attempt = state.attempts + 1;
  const fast = FAST_DELAYS_MS[attempt - 1];
  const behind = Math.min(attempt - FAST_DELAYS_MS.length - 1, BACKGROUND_DELAYS_MS.length - 1);
  const even = fast ?? BACKGROUND_DELAYS_MS[Math.max(behind, 0)] ?? 60_000;
  const spread = attempt === 1 ? 1 : 1 + JITTER_SHARE * (2 * random - 1);
  const step: ReconnectStep = {
    attempt,
    delayMs: Math.round(even * spread),
    phase: fast === undefined ? "background" : "fast",
    exhausted: attempt === FAST_DELAYS_MS.length + 1,
  };
  return [{ attempts: attempt }, step];
}
