/** The client dialect: JSON-RPC 2.0 text frames. Requests are built here; frames of the server become one closed type. */

export interface Header {
  readonly name: string;
  readonly value: string;
}

/**
 * Custom SIP headers, readable both ways: as a list (`headers[0].value`, order and duplicates kept) and by name
 * (`headers["X-Caller-Name"]`, the first value).
 */
export type CustomHeaders = readonly Header[] & { readonly [name: `X-${string}`]: string | undefined };

type Json = Record<string, unknown>;

export interface RpcRequest {
  readonly jsonrpc: "2.0";
  readonly id: string;
  readonly method: string;
  readonly params: Json;
}

export type CallId = string;

/** What the server says about a call. */
export type CallMessage =
  | { readonly type: "ringing"; readonly callId: CallId; readonly ids: CallIds }
  | { readonly type: "media"; readonly callId: CallId; readonly sdp: string }
  | {
      readonly type: "answer";
      readonly callId: CallId;
      readonly sdp: string | null;
      readonly ids: CallIds;
      readonly headers: CustomHeaders;
    }
  | {
      readonly type: "bye";
      readonly callId: CallId;
      readonly cause: string;
      readonly causeCode: number;
      readonly sipCode: number | null;
      readonly sipReason: string | null;
      readonly headers: CustomHeaders;
    }
  /** The server's offer of new media for a call that is up. */
  | { readonly type: "attach"; readonly callId: CallId; readonly sdp: string; readonly ids: CallIds }
  /** Telephone keys that the far end has pressed. */
  | { readonly type: "digits"; readonly callId: CallId; readonly digits: string }
  | { readonly type: "text"; readonly callId: CallId; readonly text: string }
  /** What is heard from now on is the far end's, before it answers. */
  | { readonly type: "early-media"; readonly callId: CallId }
  | { readonly type: "far-hold"; readonly callId: CallId; readonly held: boolean }
  | { readonly type: "transfer"; readonly callId: CallId; readonly transfer: TransferNews }
  /** The far end is somebody else now. */
  | { readonly type: "display"; readonly callId: CallId; readonly name: string; readonly number: string }
  | {
      readonly type: "invite";
      readonly callId: CallId;
      readonly sdp: string;
      readonly callerName: string;
      readonly callerNumber: string;
      readonly calleeNumber: string;
      readonly ids: CallIds;
      readonly headers: CustomHeaders;
    };

/** How a transfer goes: one that this side has asked for, or one by which the far end sends us to somebody else. */
export interface TransferNews {
  readonly by: "us" | "far-end";
  readonly state: "trying" | "done" | "failed";
  /** Status of whoever is called. */
  readonly sipCode: number | null;
}

/** The server's names for a call; `sessionId` is the id that its logs and traces use. */
export interface CallIds {
  readonly sessionId: string | null;
  readonly legId: string | null;
}

export type ServerMessage =
  | { readonly type: "result"; readonly id: string; readonly result: Json }
  | { readonly type: "error"; readonly id: string; readonly code: number; readonly message: string }
  | { readonly type: "ping" }
  | { readonly type: "client-ready"; readonly callIds: readonly string[] | null }
  | { readonly type: "punt" }
  | {
      readonly type: "call";
      readonly id: string | number | null;
      readonly method: string;
      readonly message: CallMessage;
    }
  | { readonly type: "unknown"; readonly method: string };

export interface Frame {
  readonly message: ServerMessage;
  /** The session's name on this server, to be sent back when reconnecting. */
  readonly voiceSdkId: string | null;
}

const PREFIX = "telnyx_rtc.";
/** News that the dialect does not acknowledge. */
const NEWS: readonly CallMessage["type"][] = ["digits", "text", "early-media", "far-hold", "transfer"];

/** Reads one text frame; `null` for anything that is not a message of the dialect. */
export function decodeFrame(text: string): Frame | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isJson(json)) return null;
  const message = decodeMessage(json);
  return message && { message, voiceSdkId: textOf(json["voice_sdk_id"]) };
}

function decodeMessage(json: Json): ServerMessage | null {
  const { id, method, result, error } = json;
  if (typeof method === "string") return decodeRequest(json, method);
  if (typeof id !== "string") return null;
  if (isJson(error)) {
    return { type: "error", id, code: numberOf(error["code"]) ?? 0, message: textOf(error["message"]) ?? "" };
  }
  return isJson(result) ? { type: "result", id, result } : null;
}

function decodeRequest(json: Json, method: string): ServerMessage {
  const params = isJson(json["params"]) ? json["params"] : {};
  switch (method) {
    case `${PREFIX}ping`:
      return { type: "ping" };
    case `${PREFIX}punt`:
      return { type: "punt" };
    case `${PREFIX}clientReady`: {
      const listed = params["reattached_sessions"];
      const callIds = Array.isArray(listed) ? listed.filter((each) => typeof each === "string") : null;
      return { type: "client-ready", callIds };
    }
  }
  const message = method === `${PREFIX}event` ? decodeEvent(params) : decodeCallMessage(method, params);
  if (!message) return { type: "unknown", method };
  const given = typeof json["id"] === "string" || typeof json["id"] === "number" ? json["id"] : null;
  const id = NEWS.includes(message.type) ? null : given;
  return { type: "call", id, method, message };
}

function decodeCallMessage(method: string, params: Json): CallMessage | null {
  const callId = textOf(params["callID"]);
  if (callId === null) return null;
  const sdp = textOf(params["sdp"]);
  const ids = { sessionId: textOf(params["telnyx_session_id"]), legId: textOf(params["telnyx_leg_id"]) };
  const headers = headersOf(params);
  switch (method) {
    case `${PREFIX}ringing`:
      return { type: "ringing", callId, ids };
    case `${PREFIX}media`:
      return sdp === null ? null : { type: "media", callId, sdp };
    case `${PREFIX}attach`:
      return sdp === null ? null : { type: "attach", callId, sdp, ids };
    case `${PREFIX}info`:
      return decodeInfo(callId, params);
    case `${PREFIX}display`: {
      const number = textOf(params["display_number"]);
      return number === null
        ? null
        : { type: "display", callId, name: textOf(params["display_name"]) ?? "", number };
    }
    case `${PREFIX}answer`:
      return { type: "answer", callId, sdp, ids, headers };
    case `${PREFIX}bye`:
      return {
        type: "bye",
        callId,
        cause: textOf(params["cause"]) ?? "NORMAL_CLEARING",
        causeCode: numberOf(params["causeCode"]) ?? 16,
        sipCode: numberOf(params["sipCode"]),
        sipReason: textOf(params["sipReason"]),
        headers,
      };
    case `${PREFIX}invite`:
      if (sdp === null) return null;
      return {
        type: "invite",
        callId,
        sdp,
        callerName: textOf(params["caller_id_name"]) ?? "",
        callerNumber: textOf(params["caller_id_number"]) ?? "",
        calleeNumber: textOf(params["callee_id_number"]) ?? "",
        ids,
        headers,
      };
    default:
      return null;
  }
}

function decodeInfo(callId: CallId, params: Json): CallMessage | null {
  const digits = textOf(params["dtmf"]);
  if (digits !== null) return { type: "digits", callId, digits };
  const text = isJson(params["msg"]) ? textOf(params["msg"]["body"]) : null;
  return text === null ? null : { type: "text", callId, text };
}

/** An event on the channel of a call: the far end is heard before it answers, has put us on hold, or taken us back; how a transfer goes. */
function decodeEvent(params: Json): CallMessage | null {
  const callId = textOf(params["eventChannel"]);
  const data = params["eventData"];
  if (callId === null || !isJson(data)) return null;
  switch (data["kind"]) {
    case "earlyMedia":
      return { type: "early-media", callId };
    case "farHold":
      return { type: "far-hold", callId, held: data["holdState"] === "held" };
    case "transfer":
    case "farTransfer": {
      const state = data["state"];
      if (state !== "trying" && state !== "done" && state !== "failed") return null;
      const by = data["kind"] === "transfer" ? "us" : "far-end";
      return { type: "transfer", callId, transfer: { by, state, sipCode: numberOf(data["sipCode"]) } };
    }
    default:
      return null;
  }
}

function headersOf(params: Json): CustomHeaders {
  const dialog = params["dialogParams"];
  const list = isJson(dialog) ? (dialog["custom_headers"] ?? dialog["customHeaders"]) : null;
  return readableHeaders(Array.isArray(list) ? list.filter(isHeader) : []);
}

/** Adds reading by name to a list of headers. */
export function readableHeaders(list: readonly Header[]): CustomHeaders {
  const headers = [...list];
  for (const { name, value } of list) {
    if (!/^x-/i.test(name) || Object.hasOwn(headers, name)) continue;
    Object.defineProperty(headers, name, { value, enumerable: false });
  }
  return headers as unknown as CustomHeaders;
}

/** Builds a request. `method` is the bare name; login alone goes without the dialect's prefix. */
export function request(method: string, params: Json): RpcRequest {
  const full = method === "login" ? method : `${PREFIX}${method}`;
  return { jsonrpc: "2.0", id: crypto.randomUUID(), method: full, params };
}

/** The acknowledgement of a call message: "processed", nothing more. */
export function acknowledgement(id: string | number, method: string): object {
  return { jsonrpc: "2.0", id, result: { method } };
}

function isHeader(value: unknown): value is Header {
  return isJson(value) && typeof value["name"] === "string" && typeof value["value"] === "string";
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The string itself, or `null` for anything else. */
export function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
