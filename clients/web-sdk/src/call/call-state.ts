/**
 * One call, as a value: `(call, input) → [call, effects]`. The shell in call.ts does the effects.
 *
 *   outbound: new ─► requesting ─► trying ─► ringing ─► early ─► active ⇄ held
 *   inbound:         ringing ─► answering ─► active ⇄ held
 *   active, held ─► recovering ─► active, held        (the server moves the call to new media: `attach`)
 *   any of these ─► hangup ─► destroy
 *
 * `ringing` on an outbound call means that the far phone rings. `media` that arrives before it only prepares the
 * audio path (the early answer of the server), and `early-media` says when the far end is heard on that; `media` after it is the
 * far end's early media itself.
 *
 * When the network path of a call that is up breaks, the state stays and `path` follows the search for a new one:
 *   up ─path-lost─► searching ─► waiting (for ICE, or for the signalling) ─path-up─► up
 */
import { MediaError, OffhookError } from "../errors.js";

export type CallStateName =
  | "new"
  | "requesting"
  | "trying"
  | "ringing"
  | "early"
  | "answering"
  | "active"
  | "held"
  | "recovering"
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

/** New paths are searched so often before the call counts as lost. */
const SEARCHES_MAX = 5;

/** The network path of a call that is up. `searches` counts since the last time that it worked. */
export type MediaPath =
  | { readonly name: "up" }
  | { readonly name: "searching"; readonly searches: number }
  | { readonly name: "waiting"; readonly searches: number };

export interface CallModel {
  readonly state: CallStateName;
  readonly direction: CallDirection;
  /** The server knows this call: it has to be told when it ends. */
  readonly onWire: boolean;
  /** How far the server's media description has come. */
  readonly remoteMedia: "none" | "applying" | "applied";
  /** The far end picked up; the call is active once its media description is applied. */
  readonly answered: boolean;
  /** We hold the far end; while recovering, what the call goes back to. */
  readonly held: boolean;
  /** The far end holds us. */
  readonly heldByFarEnd: boolean;
  readonly path: MediaPath;
  readonly end: CallEnd | null;
}

export type CallInput =
  | { readonly type: "dial" }
  | { readonly type: "offer-made"; readonly sdp: string }
  | { readonly type: "invite-accepted" }
  | { readonly type: "ringing" }
  | { readonly type: "media"; readonly sdp: string }
  | { readonly type: "early-media" }
  | { readonly type: "answer"; readonly sdp: string | null }
  | { readonly type: "remote-media-applied" }
  | { readonly type: "accept" }
  | { readonly type: "answer-made"; readonly sdp: string }
  | { readonly type: "answer-accepted" }
  | { readonly type: "hold-changed"; readonly held: boolean }
  | { readonly type: "far-hold-changed"; readonly held: boolean }
  /** The server offers new media for a call that is up. */
  | { readonly type: "attach"; readonly sdp: string }
  | { readonly type: "attach-accepted" }
  /** `final`: the browser does not expect the path to come back by itself. */
  | { readonly type: "path-lost"; readonly final: boolean }
  | { readonly type: "path-up" }
  /** The server has answered; `connected` when the old path works after all. */
  | { readonly type: "search-done"; readonly connected: boolean }
  /** The server could not be asked for a new path; it can be again after `signaling-back`. */
  | { readonly type: "search-postponed" }
  | { readonly type: "signaling-back" }
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
  | { readonly type: "renew-media"; readonly sdp: string }
  | { readonly type: "send-attach"; readonly sdp: string }
  | { readonly type: "search-path" }
  | { readonly type: "far-hold"; readonly held: boolean }
  | { readonly type: "close-media" }
  | { readonly type: "report"; readonly error: OffhookError }
  | { readonly type: "enter"; readonly state: CallStateName };

export type CallStep = [CallModel, CallEffect[]];

/** A call that the app is about to place. */
export function outboundCall(): CallModel {
  return newCall("outbound", false);
}

/** A call that the server has just announced. */
export function inboundCall(): CallModel {
  return newCall("inbound", true);
}

/** A call of the page before this one: it is up, and the server offers it anew. */
export function recoveredCall(direction: CallDirection, held: boolean): CallModel {
  const state = held ? "held" : "active";
  return { ...newCall(direction, true), state, held, answered: true, remoteMedia: "applied" };
}

function newCall(direction: CallDirection, onWire: boolean): CallModel {
  return {
    state: "new",
    direction,
    onWire,
    remoteMedia: "none",
    answered: false,
    held: false,
    heldByFarEnd: false,
    path: { name: "up" },
    end: null,
  };
}

/** Neither ended nor ending. */
export function isLive(call: CallModel): boolean {
  return call.state !== "hangup" && call.state !== "destroy";
}

/** The far end has picked up, and the call can be acted on. */
export function isTalking(call: CallModel): boolean {
  return call.state === "active" || call.state === "held";
}

/** As long as the app does not have to care what happens below: talking, or being moved to new media. */
function isUp(call: CallModel): boolean {
  return isTalking(call) || call.state === "recovering";
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
    case "early-media":
      return call.state === "ringing" && call.direction === "outbound" ? enter(call, "early") : [call, []];
    case "answer":
      return answered(call, input.sdp);
    case "remote-media-applied":
      return remoteMediaApplied(call);
    case "accept":
      return call.direction === "inbound" && call.state === "ringing"
        ? enter(call, "answering", [{ type: "make-answer" }])
        : [call, []];
    case "answer-made":
      if (call.state === "recovering") return [call, [{ type: "send-attach", sdp: input.sdp }]];
      return call.state === "answering" ? [call, [{ type: "send-answer", sdp: input.sdp }]] : [call, []];
    case "answer-accepted":
      return call.state === "answering" ? enter({ ...call, answered: true }, "active") : [call, []];
    case "hold-changed":
      if (!isTalking(call) || (call.state === "held") === input.held) return [call, []];
      return enter({ ...call, held: input.held }, input.held ? "held" : "active");
    case "far-hold-changed":
      if (!isUp(call) || call.heldByFarEnd === input.held) return [call, []];
      return [{ ...call, heldByFarEnd: input.held }, [{ type: "far-hold", held: input.held }]];
    case "attach":
    case "attach-accepted":
      return attach(call, input);
    case "path-lost":
    case "path-up":
    case "search-done":
    case "search-postponed":
    case "signaling-back":
      return stepPath(call, input);
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

/** An offer for a call that is up replaces its media; one that comes meanwhile replaces that again. */
function attach(call: CallModel, input: CallInput & { type: "attach" | "attach-accepted" }): CallStep {
  if (input.type === "attach-accepted") {
    return call.state === "recovering" ? enter(call, call.held ? "held" : "active") : [call, []];
  }
  if (!isUp(call)) return [call, []];
  const next: CallModel = { ...call, path: { name: "up" } };
  const renew: CallEffect = { type: "renew-media", sdp: input.sdp };
  return call.state === "recovering" ? [next, [renew]] : enter(next, "recovering", [renew]);
}

type PathInput = Extract<
  CallInput,
  { type: "path-lost" | "path-up" | "search-done" | "search-postponed" | "signaling-back" }
>;

function stepPath(call: CallModel, input: PathInput): CallStep {
  const { path } = call;
  switch (input.type) {
    case "path-lost":
      if (isTalking(call)) return path.name === "searching" ? [call, []] : searchPath(call);
      // Before the answer there is nothing to keep; while recovering the server's new offer is the way out.
      return input.final && call.state !== "recovering" ? pathGone(call) : [call, []];
    case "path-up":
      return path.name === "up" ? [call, []] : [{ ...call, path: { name: "up" } }, []];
    case "search-done":
    case "search-postponed":
      if (path.name !== "searching") return [call, []];
      if (input.type === "search-done" && input.connected) return [{ ...call, path: { name: "up" } }, []];
      return [{ ...call, path: { name: "waiting", searches: path.searches } }, []];
    case "signaling-back":
      return isTalking(call) && path.name === "waiting" ? searchPath(call) : [call, []];
  }
}

function searchPath(call: CallModel): CallStep {
  const searches = call.path.name === "up" ? 1 : call.path.searches + 1;
  if (searches > SEARCHES_MAX) return pathGone(call);
  return [{ ...call, path: { name: "searching", searches } }, [{ type: "search-path" }]];
}

function pathGone(call: CallModel): CallStep {
  return stepCall(call, { type: "failed", error: new MediaError(47002) });
}

/** The cause that the dialect gives a hang-up from this side. */
function localEnd(call: CallModel): CallEnd {
  const [cause, causeCode] = isUp(call) ? (["NORMAL_CLEARING", 16] as const) : (["USER_BUSY", 17] as const);
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
