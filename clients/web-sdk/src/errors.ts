/**
 * Every error that the SDK throws or emits. The numbers are those of the public client dialect, so that an app which
 * already switches on them keeps working (449xx, 459xx: what only we have); `remedy` says what the person or the operator can do.
 */

/** What each code means. A code is never reused for something else. */
export const ERRORS = {
  40001: {
    name: "OFFER_FAILED",
    message: "The browser could not start the call's media.",
    remedy: "Update or restart the browser, then call again.",
  },
  40002: {
    name: "ANSWER_FAILED",
    message: "The browser could not answer with its media.",
    remedy: "Update or restart the browser, then ask the caller to try again.",
  },
  40004: {
    name: "REMOTE_MEDIA_REFUSED",
    message: "The browser refused the media description of the server.",
    remedy: "Report this to the operator of the server with the call's id.",
  },
  40005: {
    name: "CALL_REFUSED",
    message: "The server refused the call.",
    remedy: "Check the number, and that this user may call it.",
  },
  42001: {
    name: "MICROPHONE_DENIED",
    message: "The page may not use the microphone.",
    remedy: "Allow the microphone for this page in the browser's address bar, then call again.",
  },
  42002: {
    name: "MICROPHONE_NOT_FOUND",
    message: "No microphone was found.",
    remedy: "Plug in a microphone or headset, then call again.",
  },
  42003: {
    name: "MICROPHONE_FAILED",
    message: "The microphone could not be started.",
    remedy: "Close other programs that use the microphone, then call again.",
  },
  44001: {
    name: "HOLD_FAILED",
    message: "The call could not be put on hold or resumed.",
    remedy: "Try again in a moment; the call goes on unchanged.",
  },
  44002: {
    name: "INVALID_CALL",
    message: "The call has no destination number, or the action does not fit its state.",
    remedy: "Give `destinationNumber`; look at `call.state` before acting on a call.",
  },
  44003: {
    name: "HANGUP_UNCONFIRMED",
    message: "The server did not confirm the hang-up.",
    remedy: "Nothing: the call is over here, and the server ends its side by itself.",
  },
  44006: {
    name: "DIGITS_REFUSED",
    message: "The digits could not be sent.",
    remedy: "Use 0-9, *, #, A-D on an answered call.",
  },
  44007: {
    name: "NOT_READY",
    message: "Calls are possible only when the client is ready.",
    remedy: "Wait for the `ready` event after `connect()`, then call `newCall()`.",
  },
  44901: {
    name: "TRANSFER_FAILED",
    message: "The call could not be transferred.",
    remedy: "Check the destination; the call goes on unchanged.",
  },
  44902: {
    name: "MESSAGE_REFUSED",
    message: "The message did not reach the far end.",
    remedy: "The far end may not take messages; say it instead.",
  },
  45001: {
    name: "BAD_HOST",
    message: "The server's address is not a valid WebSocket address.",
    remedy: "Give `host` as `wss://name` or `name:port`.",
  },
  45002: {
    name: "CONNECTION_FAILED",
    message: "The server cannot be reached.",
    remedy: "Check the network; the client goes on trying by itself.",
  },
  45003: {
    name: "RECONNECT_EXHAUSTED",
    message: "The server was not reached for as long as `reconnectWindowMs` says.",
    remedy: "Check the network. The client tries again now and then; `connect()` tries at once.",
  },
  45004: {
    name: "SERVER_UNAVAILABLE",
    message: "The server is up but cannot place calls at the moment.",
    remedy: "Connect again later; if it lasts, tell the operator that the server is not registered.",
  },
  45901: {
    name: "INVALID_OPTION",
    message: "An option of the client has a value that it cannot have.",
    remedy: "See `detail` for which; `reconnectWindowMs` is 0 or a number of milliseconds.",
  },
  46001: {
    name: "LOGIN_FAILED",
    message: "The server refused the login.",
    remedy: "Check user name and password, or get a fresh token, then connect again.",
  },
  46002: {
    name: "NO_CREDENTIALS",
    message: "There are no credentials to log in with.",
    remedy: "Give `login` and `password`, or `login_token`.",
  },
  47002: {
    name: "MEDIA_LOST",
    message: "The call's audio path was lost.",
    remedy: "Check the network and that it lets UDP through to the server; then call again.",
  },
  48501: { name: "CALL_NOT_KEPT", message: "The server no longer knows this call.", remedy: "Call again." },
  48502: {
    name: "SESSION_ENDED",
    message: "The server ended this session.",
    remedy: "Connect again; if it happens again, ask the operator.",
  },
  49001: {
    name: "UNEXPECTED",
    message: "Something unexpected happened in the SDK.",
    remedy: "Report it with the log of the browser's console.",
  },
} as const satisfies Record<number, { name: string; message: string; remedy: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** What an error may say beyond its code. */
export interface ErrorContext {
  /** The server's or browser's own words. */
  detail?: string;
  callId?: string;
  cause?: unknown;
}

/** Base of all SDK errors. */
export class OffhookError extends Error {
  readonly code: ErrorCode;
  /** What to do about it, in words fit for a person. */
  readonly remedy: string;
  /** The server's or browser's own words, if there were any. */
  readonly detail: string | null;
  readonly callId: string | null;

  constructor(code: ErrorCode, context: ErrorContext = {}) {
    const known = ERRORS[code];
    super(known.message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = known.name;
    this.code = code;
    this.remedy = known.remedy;
    this.detail = context.detail ?? null;
    this.callId = context.callId ?? null;
  }
}

/** The connection or the login failed. */
export class SessionError extends OffhookError {}

/** A call or an action on it failed. */
export class CallError extends OffhookError {}

/** The browser's side of the media failed: microphone, devices, peer connection. */
export class MediaError extends OffhookError {}

/** Wraps whatever was thrown, so that only our classes reach the app. */
export function asOffhookError(thrown: unknown, fallback: ErrorCode = 49001): OffhookError {
  if (thrown instanceof OffhookError) return thrown;
  return new OffhookError(fallback, { detail: String(thrown), cause: thrown });
}
