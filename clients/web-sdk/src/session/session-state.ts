/**
 * The session, as a value: `(state, input) → [state, effects]`. The shell in session.ts does the effects.
 *
 *   idle ─connect─► connecting ─open─► authenticating ─accepted─► registering ─REGED─► ready
 *                       ▲ ▲                  │ refused                 │ NOREG: asks again
 *                 retry │ └──── waiting ◄────┼──── socket closed in any of these ────┘
 *                       └───────────┘        ▼
 *                                         closed ◄── disconnect, punt
 */
import { nextTry, RECONNECT_START, type ReconnectState } from "./reconnect.js";
import type { DisconnectReason } from "../events.js";
import type { ErrorCode } from "../errors.js";

/** A server that never answers must not leave the session hanging. */
const LOGIN_TIMEOUT_MS = 10_000;
const REGISTER_RETRY_MS = 3_000;
/** With the pause above: half a minute for the server's own registration to come up. */
const REGISTER_TRIES_MAX = 10;

export type SessionState =
  | { readonly name: "idle" }
  | { readonly name: "connecting"; readonly reconnect: ReconnectState }
  | { readonly name: "authenticating"; readonly reconnect: ReconnectState }
  | { readonly name: "registering"; readonly reconnect: ReconnectState; readonly tries: number }
  | { readonly name: "ready" }
  | { readonly name: "waiting"; readonly reconnect: ReconnectState }
  | { readonly name: "closed" };

export type SessionInput =
  | { readonly type: "connect" }
  | { readonly type: "disconnect" }
  | { readonly type: "socket-open" }
  | { readonly type: "socket-closed"; readonly random: number; readonly windowMs: number }
  | { readonly type: "login-accepted" }
  | { readonly type: "login-refused"; readonly detail: string }
  | { readonly type: "server-ready"; readonly callIds: readonly string[] | null }
  | { readonly type: "gateway"; readonly state: string }
  | { readonly type: "timer"; readonly timer: SessionTimer }
  | { readonly type: "punted" };

/** `retry`: open the next socket. `login`: the server owes a login or registration answer. `register`: ask again. */
export type SessionTimer = "retry" | "login" | "register";

export type SessionEffect =
  | { readonly type: "open-socket" }
  | { readonly type: "close-socket" }
  | { readonly type: "send-login" }
  | { readonly type: "send-gateway-state" }
  | { readonly type: "set-timer"; readonly timer: SessionTimer; readonly ms: number }
  | { readonly type: "clear-timers" }
  /** The server listed the calls it still has; the others are gone. */
  | { readonly type: "keep-calls"; readonly callIds: readonly string[] }
  /** The server has no call of ours any more. */
  | { readonly type: "drop-calls" }
  | { readonly type: "became-ready"; readonly again: boolean }
  | { readonly type: "reconnecting"; readonly attempt: number; readonly delayMs: number }
  | { readonly type: "disconnected"; readonly reason: DisconnectReason }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly detail: string | null };

export type SessionStep = [SessionState, SessionEffect[]];

export const SESSION_START: SessionState = { name: "idle" };

/** One step. An input that does not fit the state changes nothing. */
export function stepSession(state: SessionState, input: SessionInput): SessionStep {
  switch (input.type) {
    case "connect":
      return connect(state);
    case "disconnect":
      if (state.name === "idle" || state.name === "closed") return [state, []];
      return close("requested", null);
    case "punted":
      if (state.name === "idle" || state.name === "closed") return [state, []];
      return close("ended-by-server", { type: "failed", code: 48502, detail: null });
    case "socket-open":
      if (state.name !== "connecting") return [state, []];
      return [
        { name: "authenticating", reconnect: state.reconnect },
        [{ type: "send-login" }, { type: "set-timer", timer: "login", ms: LOGIN_TIMEOUT_MS }],
      ];
    case "socket-closed":
      return lost(state, input.random, input.windowMs);
    case "login-accepted":
      if (state.name !== "authenticating") return [state, []];
      return [{ name: "registering", reconnect: state.reconnect, tries: 0 }, []];
    case "login-refused":
      if (state.name !== "authenticating") return [state, []];
      return close("login-refused", { type: "failed", code: 46001, detail: input.detail });
    case "server-ready":
      return serverReady(state, input.callIds);
    case "gateway":
      return gateway(state, input.state);
    case "timer":
      return timer(state, input.timer);
  }
}

function connect(state: SessionState): SessionStep {
  switch (state.name) {
    case "idle":
    case "closed":
      return [{ name: "connecting", reconnect: RECONNECT_START }, [{ type: "open-socket" }]];
    case "waiting":
      return [
        { name: "connecting", reconnect: state.reconnect },
        [{ type: "clear-timers" }, { type: "open-socket" }],
      ];
    default:
      return [state, []];
  }
}

/** `failure` when it is the server that wants us no more: then nobody can act on the calls either, not even hang up. */
function close(reason: DisconnectReason, failure: (SessionEffect & { type: "failed" }) | null): SessionStep {
  const before: SessionEffect[] = failure === null ? [] : [{ type: "drop-calls" }, failure];
  return [
    { name: "closed" },
    [...before, { type: "clear-timers" }, { type: "close-socket" }, { type: "disconnected", reason }],
  ];
}

function lost(state: SessionState, random: number, windowMs: number): SessionStep {
  if (state.name === "idle" || state.name === "closed" || state.name === "waiting") return [state, []];
  const [reconnect, next] = nextTry(
    state.name === "ready" ? RECONNECT_START : state.reconnect,
    random,
    windowMs,
  );
  const effects: SessionEffect[] = [{ type: "clear-timers" }];
  if (next.attempt === 1) effects.push({ type: "failed", code: 45002, detail: null });
  if (next.exhausted) {
    effects.push(
      { type: "failed", code: 45003, detail: null },
      { type: "disconnected", reason: "exhausted" },
    );
  }
  if (next.phase === "fast") {
    effects.push({ type: "reconnecting", attempt: next.attempt, delayMs: next.delayMs });
  }
  effects.push({ type: "set-timer", timer: "retry", ms: next.delayMs });
  return [{ name: "waiting", reconnect }, effects];
}

function serverReady(state: SessionState, callIds: readonly string[] | null): SessionStep {
  const keep: SessionEffect[] = callIds ? [{ type: "keep-calls", callIds }] : [];
  if (state.name !== "registering") return [state, keep];
  return [state, [...keep, { type: "send-gateway-state" }]];
}

function gateway(state: SessionState, reported: string): SessionStep {
  if (state.name !== "registering") return [state, []];
  switch (reported) {
    case "REGED":
    case "REGISTER":
      return [
        { name: "ready" },
        [{ type: "clear-timers" }, { type: "became-ready", again: state.reconnect.attempts > 0 }],
      ];
    default:
      if (state.tries + 1 >= REGISTER_TRIES_MAX) {
        return close("login-refused", { type: "failed", code: 45004, detail: reported });
      }
      return [
        { ...state, tries: state.tries + 1 },
        [{ type: "clear-timers" }, { type: "set-timer", timer: "register", ms: REGISTER_RETRY_MS }],
      ];
  }
}

function timer(state: SessionState, which: SessionTimer): SessionStep {
  if (which === "retry" && state.name === "waiting") {
    return [{ name: "connecting", reconnect: state.reconnect }, [{ type: "open-socket" }]];
  }
  if (which === "login" && (state.name === "authenticating" || state.name === "registering")) {
    return [state, [{ type: "close-socket" }]];
  }
  if (which === "register" && state.name === "registering") {
    return [
      state,
      [{ type: "send-gateway-state" }, { type: "set-timer", timer: "login", ms: LOGIN_TIMEOUT_MS }],
    ];
  }
  return [state, []];
}
