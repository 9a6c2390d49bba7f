/**
 * One call, as a value: `(call, input) → [call, effects]`. The shell in call.ts does the effects.
 *
 *   outbound: new ─► requesting ─► trying ─► ringing ─► early ─► active ⇄ held
 *   inbound:         ringing ─► answering ─► active ⇄ held
 *   any of these ─► hangup ─► destroy
 *
 * `ringing` on an outbound call means that the far phone rings. `media` that arrives before it only prepares the
 * audio path (the early answer of the server); after it, it is the far end's early media.
 */
import { OffhookError } from "../errors.js";

export type CallStateName =
  | "new"
  | "requesting"
  | "trying"
  | "ringing"
  | "early"
  | "answering"
  | "active"
  | "held"
  | "hangup"
  | "destroy";

export type CallDirection = "inbound" | "outbound";

/** Why a call ended, in the words of the telephone network (Q.850) and of SIP. */
export interface CallEnd {
  readonly cause: string;
  readonly causeCode: number;
  readonly sipCode: number | null;
  readonly sipReason: string | null;
  readonly by: "local" | "remote";
}

export interface CallModel {
  readonly state: CallStateName;
  readonly direction: CallDirection;
  /** The server knows this call: it has to be told when it ends. */
  readonly onWire: boolean;
  /** How far the server's media description has come. */
  readonly remoteMedia: "none" | "applying" | "applied";
  /** The far end picked up; the call is active once its media description is applied. */
  readonly answered: boolean;
  readonly end: CallEnd | null;
}

export type CallInput =
  | { readonly type: "dial" }
  | { readonly type: "offer-made"; readonly sdp: string }
  | { readonly type: "invite-accepted" }
  | { readonly type: "ringing" }
  | { readonly type: "media"; readonly sdp: string }
  | { readonly type: "answer"; readonly sdp: string | null }
  | { readonly type: "remote-media-applied" }
  | { readonly type: "accept" }
  | { readonly type: "answer-made"; readonly sdp: string }
  | { readonly type: "answer-accepted" }
  | { readonly type: "hold-changed"; readonly held: boolean }
  | { readonly type: "hangup" }
  | { readonly type: "hangup-confirmed" }
  | { readonly type: "remote-bye"; readonly end: Omit<CallEnd, "by"> }
  | { readonly type: "failed"; readonly error: OffhookError }
  /** The server no longer has the call, so that there is nobody to tell. */
  | { readonly type: "lost"; readonly error: OffhookError };

export type CallEffect =
  | { readonly type: "make-offer" }
  | { readonly type: "make-answer" }
  | { readonly type: "send-invite"; readonly sdp: string }
  | { readonly type: "send-answer"; readonly sdp: string }
  | { readonly type: "send-bye"; readonly end: CallEnd }
  | { readonly type: "apply-remote-media"; readonly sdp: string }
  | { readonly type: "close-media" }
  | { readonly type: "report"; readonly error: OffhookError }
  | { readonly type: "enter"; readonly state: CallStateName };

export type CallStep = [CallModel, CallEffect[]];

/** A call that the app is about to place. */
export function outboundCall(): CallModel {
  return {
    state: "new",
    direction: "outbound",
    onWire: false,
    remoteMedia: "none",
    answered: false,
    end: null,
  };
}

/** A call that the server has just announced. */
export function inboundCall(): CallModel {
  return {
    state: "new",
    direction: "inbound",
    onWire: true,
    remoteMedia: "none",
    answered: false,
    end: null,
  };
}

/** Neither ended nor ending. */
export function isLive(call: CallModel): boolean {
  return call.state !== "hangup" && call.state !== "destroy";
}

/** The far end has picked up. */
export function isTalking(call: CallModel): boolean {
  return call.state === "active" || call.state === "held";
}

/** One step. An input that does not fit the state changes nothing. */
export function stepCall(call: CallModel, input: CallInput): CallStep {
  if (!isLive(call)) return stepEnded(call, input);
  switch (input.type) {
    case "dial":
      return call.state === "new" && call.direction === "outbound"
        ? [call, [{ type: "make-offer" }]]
        : [call, []];
    case "offer-made":
      if (call.state !== "new") return [call, []];
      return enter({ ...call, onWire: true }, "requesting", [{ type: "send-invite", sdp: input.sdp }]);
    case "invite-accepted":
      return call.state === "requesting" ? enter(call, "trying") : [call, []];
    case "ringing":
      return ringing(call);
    case "media":
      return media(call, input.sdp);
    case "answer":
      return answered(call, input.sdp);
    case "remote-media-applied":
      return remoteMediaApplied(call);
    case "accept":
      return call.direction === "inbound" && call.state === "ringing"
        ? enter(call, "answering", [{ type: "make-answer" }])
        : [call, []];
    case "answer-made":
      return call.state === "answering" ? [call, [{ type: "send-answer", sdp: input.sdp }]] : [call, []];
    case "answer-accepted":
      return call.state === "answering" ? enter({ ...call, answered: true }, "active") : [call, []];
    case "hold-changed":
      if (!isTalking(call) || (call.state === "held") === input.held) return [call, []];
      return enter(call, input.held ? "held" : "active");
    case "hangup":
      return end(call, localEnd(call), []);
    case "hangup-confirmed":
      return [call, []];
    case "remote-bye":
      return end({ ...call, onWire: false }, { ...input.end, by: "remote" }, []);
    case "failed":
      return end(call, localEnd(call), [{ type: "report", error: input.error }]);
    case "lost":
      return end({ ...call, onWire: false }, lostEnd(), [{ type: "report", error: input.error }]);
  }
}

function stepEnded(call: CallModel, input: CallInput): CallStep {
  const over = input.type === "hangup-confirmed" || input.type === "remote-bye" || input.type === "lost";
  return call.state === "hangup" && over ? enter(call, "destroy") : [call, []];
}

function enter(call: CallModel, state: CallStateName, then: CallEffect[] = []): CallStep {
  return [{ ...call, state }, [{ type: "enter", state }, ...then]];
}

function ringing(call: CallModel): CallStep {
  const waiting = call.state === "requesting" || call.state === "trying";
  const announced = call.direction === "inbound" && call.state === "new";
  return waiting || announced ? enter(call, "ringing") : [call, []];
}

function media(call: CallModel, sdp: string): CallStep {
  if (call.direction === "inbound" || call.answered || call.remoteMedia !== "none") return [call, []];
  const next: CallModel = { ...call, remoteMedia: "applying" };
  const apply: CallEffect = { type: "apply-remote-media", sdp };
  return call.state === "ringing" ? enter(next, "early", [apply]) : [next, [apply]];
}

function answered(call: CallModel, sdp: string | null): CallStep {
  if (call.direction === "inbound" || call.answered) return [call, []];
  const next: CallModel = { ...call, answered: true };
  switch (call.remoteMedia) {
    case "applied":
      return enter(next, "active");
    case "applying":
      return [next, []];
    case "none":
      if (sdp !== null) {
        return [{ ...next, remoteMedia: "applying" }, [{ type: "apply-remote-media", sdp }]];
      }
      return stepCall(next, {
        type: "failed",
        error: new OffhookError(40004, { detail: "the answer came without a media description" }),
      });
  }
}

function remoteMediaApplied(call: CallModel): CallStep {
  if (call.remoteMedia !== "applying") return [call, []];
  const next: CallModel = { ...call, remoteMedia: "applied" };
  return call.answered ? enter(next, "active") : [next, []];
}

/** The cause that the dialect gives a hang-up from this side. */
function localEnd(call: CallModel): CallEnd {
  const [cause, causeCode] = isTalking(call)
    ? (["NORMAL_CLEARING", 16] as const)
    : (["USER_BUSY", 17] as const);
  return { cause, causeCode, sipCode: null, sipReason: null, by: "local" };
}

function lostEnd(): CallEnd {
  return { cause: "NORMAL_TEMPORARY_FAILURE", causeCode: 41, sipCode: null, sipReason: null, by: "remote" };
}

/** Ends a live call. The server is told only when it knows the call; otherwise the call is gone at once. */
function end(call: CallModel, why: CallEnd, first: CallEffect[]): CallStep {
  const effects: CallEffect[] = [...first, { type: "close-media" }, { type: "enter", state: "hangup" }];
  if (call.onWire)
    return [{ ...call, state: "hangup", end: why }, [...effects, { type: "send-bye", end: why }]];
  return [{ ...call, state: "destroy", end: why }, [...effects, { type: "enter", state: "destroy" }]];
}
