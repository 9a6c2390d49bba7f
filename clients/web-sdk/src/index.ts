/** Phone calls from a web page over an Offhook server. The app never touches SDP, ICE or the socket. */
export { OffhookClient, OffhookClient as TelnyxRTC } from "./client.js";
export type { ClientOptions } from "./client.js";
export { Call } from "./call/call.js";
export type { AnswerOptions, NewCallOptions } from "./call/call.js";
export type { CallDirection, CallEnd, CallStateName } from "./call/call-state.js";
export { CallError, ERRORS, MediaError, OffhookError, SessionError } from "./errors.js";
export type { ErrorCode } from "./errors.js";
export type { CallUpdate, ClientEvents, DisconnectReason, EventName, Listener, Payload } from "./events.js";
export type { LogLevel } from "./logger.js";
export { listDevices } from "./media/devices.js";
export type { CallStats } from "./media/stats.js";
export type { CallIds, CustomHeaders, Header } from "./signaling/messages.js";
