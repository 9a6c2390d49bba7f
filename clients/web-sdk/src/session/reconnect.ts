/**
 * When to try again. A pure policy: a lost connection is tried after 1, 2, 4, 8 and 15 s, and so on each 15 s, until the window
 * (30 s unless the app says otherwise) is used up. Then the session counts as disconnected, and slower tries go on in the
 * background. Only `ready` starts over.
 *
 *   lost ─► fast 1 s ─► 2 s ─► 4 s ─► 8 s ─► 15 s ─► background 30 s ─► 60 s ─► 60 s …
 */

/** The window that apps get which ask for none. */
export const RECONNECT_WINDOW_MS = 30_000;
/** A window without an end. */
export const FOR_EVER = 0;

const FAST_DELAYS_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;
const FAST_DELAY_MAX_MS = 15_000;
const BACKGROUND_DELAYS_MS = [30_000, 60_000] as const;
const BACKGROUND_DELAY_MAX_MS = 60_000;
/** Spread of the delays, so that the clients of a restarted server do not come back in step. */
const JITTER_SHARE = 0.25;

export interface ReconnectState {
  /** Tries scheduled since the session was last ready. */
  readonly attempts: number;
  /** How much of the window these tries take, in even milliseconds. */
  readonly plannedMs: number;
  /** How many of them came after the window. */
  readonly behind: number;
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

export const RECONNECT_START: ReconnectState = { attempts: 0, plannedMs: 0, behind: 0 };

/**
 * The next try within `windowMs` ({@link FOR_EVER} has no end). `random` in [0, 1) spreads every try but the first, which should be
 * quick and even.
 */
export function nextTry(
  state: ReconnectState,
  random: number,
  windowMs: number,
): [ReconnectState, ReconnectStep] {
  const left = windowMs === FOR_EVER ? Infinity : windowMs - state.plannedMs;
  const attempt = state.attempts + 1;
  const spread = attempt === 1 ? 1 : 1 + JITTER_SHARE * (2 * random - 1);
  if (left > 0) {
    const even = Math.min(FAST_DELAYS_MS[state.attempts] ?? FAST_DELAY_MAX_MS, left);
    return [
      { attempts: attempt, plannedMs: state.plannedMs + even, behind: 0 },
      { attempt, delayMs: Math.round(even * spread), phase: "fast", exhausted: false },
    ];
  }
  const even = BACKGROUND_DELAYS_MS[state.behind] ?? BACKGROUND_DELAY_MAX_MS;
  return [
    { attempts: attempt, plannedMs: state.plannedMs, behind: state.behind + 1 },
    {
      attempt,
      delayMs: Math.round(even * spread),
      phase: "background",
      exhausted: state.behind === 0,
    },
  ];
}
