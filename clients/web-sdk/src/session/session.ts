/** Does what session-state.ts decides: the socket, its timers and requests. One session for each client. */
import { asOffhookError, OffhookError, SessionError } from "../errors.js";
import type { DisconnectReason } from "../events.js";
import type { Logger } from "../logger.js";
import {
  acknowledgement,
  decodeFrame,
  textOf,
  type CallMessage,
  type RpcRequest,
} from "../signaling/messages.js";
import { Rpc, RpcRefusal } from "../signaling/rpc.js";
import { openSocket, socketUrl, type Socket } from "../signaling/websocket.js";
import type { Remembered } from "./page-memory.js";
import { SESSION_START, stepSession } from "./session-state.js";
import type { SessionEffect, SessionInput, SessionState, SessionTimer } from "./session-state.js";

/** Without a frame for this long the server is asked whether it lives; it pings every 15 s by itself. */
const SILENCE_MAX_MS = 20_000;
const SILENCE_CHECK_MS = 5_000;
const PROBE_TIMEOUT_MS = 5_000;

export interface Credentials {
  readonly login?: string | undefined;
  readonly password?: string | undefined;
  readonly loginToken?: string | undefined;
}

export interface SessionOptions {
  readonly host: string;
  readonly credentials: Credentials;
  /** Ask the server to connect the audio path while the far end still rings. */
  readonly earlySdpAnswer: boolean;
  readonly userVariables: Record<string, unknown>;
  /** How long a lost connection is tried again before it counts as disconnected; 0 is for ever. */
  readonly reconnectWindowMs: number;
  /** The session of the page before this one in the tab. */
  readonly resume: Pick<Remembered, "sessionId" | "voiceSdkId"> | null;
  readonly logger: Logger;
}

export interface SessionHandlers {
  onReady(session: { sessionId: string; region: string | null; again: boolean }): void;
  onReconnecting(attempt: number, delayMs: number): void;
  onDisconnected(reason: DisconnectReason): void;
  onError(error: OffhookError): void;
  /** True when the message belongs to a call we have; only then is it acknowledged. */
  onCallMessage(message: CallMessage): boolean;
  /** The server still has these calls and no others. */
  onCallsKept(callIds: readonly string[]): void;
  /** Whatever the server has, it is not for us any more. */
  onCallsDropped(): void;
}

export class Session {
  #state: SessionState = SESSION_START;
  #socket: Socket | null = null;
  #sessionId: string | null = null;
  #voiceSdkId: string | null = null;
  #region: string | null = null;
  #lastFrameAt = 0;
  #silenceCheck: ReturnType<typeof setInterval> | null = null;
  readonly #timers = new Map<SessionTimer, ReturnType<typeof setTimeout>>();
  readonly #rpc = new Rpc((message: RpcRequest) => this.#socket?.send(message) ?? false);
  readonly #options: SessionOptions;
  readonly #handlers: SessionHandlers;

  constructor(options: SessionOptions, handlers: SessionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#sessionId = options.resume?.sessionId ?? null;
    this.#voiceSdkId = options.resume?.voiceSdkId ?? null;
  }

  get ready(): boolean {
    return this.#state.name === "ready";
  }

  get sessionId(): string | null {
    return this.#sessionId;
  }

  get voiceSdkId(): string | null {
    return this.#voiceSdkId;
  }

  connect(): void {
    this.#step({ type: "connect" });
  }

  disconnect(): void {
    this.#step({ type: "disconnect" });
  }

  /** Sends a request about a call in this session. */
  request(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
    return this.#rpc.call(method, { sessid: this.#sessionId, ...params });
  }

  #step(input: SessionInput): void {
    const before = this.#state.name;
    const [state, effects] = stepSession(this.#state, input);
    this.#state = state;
    if (state.name !== before) this.#options.logger.info(`session ${before} -> ${state.name}`);
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: SessionEffect): void {
    switch (effect.type) {
      case "open-socket":
        return this.#open();
      case "close-socket":
        return this.#socket?.close();
      case "send-login":
        return void this.#login();
      case "send-gateway-state":
        return void this.#askGateway();
      case "set-timer":
        return this.#setTimer(effect.timer, effect.ms);
      case "clear-timers":
        for (const timer of this.#timers.values()) clearTimeout(timer);
        return this.#timers.clear();
      case "keep-calls":
        return this.#handlers.onCallsKept(effect.callIds);
      case "drop-calls":
        return this.#handlers.onCallsDropped();
      case "became-ready":
        return this.#handlers.onReady({
          sessionId: this.#sessionId ?? "",
          region: this.#region,
          again: effect.again,
        });
      case "reconnecting":
        return this.#handlers.onReconnecting(effect.attempt, effect.delayMs);
      case "disconnected":
        return this.#handlers.onDisconnected(effect.reason);
      case "failed":
        return this.#handlers.onError(
          new SessionError(effect.code, effect.detail === null ? {} : { detail: effect.detail }),
        );
    }
  }

  #setTimer(timer: SessionTimer, ms: number): void {
    clearTimeout(this.#timers.get(timer));
    this.#timers.set(
      timer,
      setTimeout(() => {
        this.#timers.delete(timer);
        this.#step({ type: "timer", timer });
      }, ms),
    );
  }

  #open(): void {
    this.#letGo();
    try {
      // A socket that still closes while the next one opens has no say any more.
      const socket = openSocket(socketUrl(this.#options.host, this.#voiceSdkId), {
        onOpen: () => socket === this.#socket && this.#step({ type: "socket-open" }),
        onText: (text) => socket === this.#socket && this.#onText(text),
        onClose: () => socket === this.#socket && this.#onClose(),
      });
      this.#socket = socket;
    } catch (thrown) {
      this.#handlers.onError(new SessionError(45001, { detail: String(thrown), cause: thrown }));
      this.#step({ type: "disconnect" });
      return;
    }
    this.#lastFrameAt = Date.now();
    this.#silenceCheck = setInterval(() => this.#checkSilence(), SILENCE_CHECK_MS);
  }

  #onClose(): void {
    this.#letGo();
    this.#step({
      type: "socket-closed",
      random: Math.random(),
      windowMs: this.#options.reconnectWindowMs,
    });
  }

  /** Forgets the socket, and whatever waited for it. */
  #letGo(): void {
    this.#socket = null;
    if (this.#silenceCheck !== null) clearInterval(this.#silenceCheck);
    this.#silenceCheck = null;
    this.#rpc.abandon("the connection was lost");
  }

  #onText(text: string): void {
    this.#lastFrameAt = Date.now();
    const frame = decodeFrame(text);
    if (!frame) {
      this.#options.logger.warn("ignored a frame that is not of the dialect");
      return;
    }
    if (frame.voiceSdkId !== null) this.#voiceSdkId = frame.voiceSdkId;
    const { message } = frame;
    switch (message.type) {
      case "result":
      case "error":
        return this.#rpc.settle(message);
      case "ping":
        return this.#probe();
      case "punt":
        return this.#step({ type: "punted" });
      case "client-ready":
        return this.#step({ type: "server-ready", callIds: message.callIds });
      case "call": {
        // Signed out: only the closing handshake is left.
        if (this.#state.name === "closed") return;
        const known = this.#handlers.onCallMessage(message.message);
        if (known && message.id !== null) this.#socket?.send(acknowledgement(message.id, message.method));
        return;
      }
      case "unknown":
        return this.#options.logger.debug(`ignored ${message.method}`);
    }
  }

  async #login(): Promise<void> {
    const { login, password, loginToken } = this.#options.credentials;
    try {
      const result = await this.#rpc.call("login", {
        login,
        passwd: password,
        login_token: loginToken,
        userVariables: this.#options.userVariables,
        reconnection: this.#sessionId !== null,
        sessid: this.#sessionId ?? undefined,
        loginParams: { early_sdp_answer: this.#options.earlySdpAnswer },
        "User-Agent": { sdkVersion: "offhook-web-0.1.0", data: globalThis.navigator?.userAgent ?? "" },
      });
      this.#sessionId = textOf(result["sessid"]);
      this.#step({ type: "login-accepted" });
    } catch (thrown) {
      if (thrown instanceof RpcRefusal) this.#step({ type: "login-refused", detail: thrown.message });
      else this.#socket?.close();
    }
  }

  async #askGateway(): Promise<void> {
    try {
      const result = await this.#rpc.call("gatewayState", {});
      const params = result["params"] as Record<string, unknown> | undefined;
      this.#region = textOf(params?.["region"]);
      this.#step({ type: "gateway", state: textOf(params?.["state"]) ?? "" });
    } catch (thrown) {
      if (thrown instanceof RpcRefusal) this.#step({ type: "gateway", state: thrown.message });
      else this.#socket?.close();
    }
  }

  #checkSilence(): void {
    if (Date.now() - this.#lastFrameAt >= SILENCE_MAX_MS) this.#probe();
  }

  /** Asks for a sign of life, and gives the connection up when none comes. It also is the answer to a server's ping. */
  #probe(): void {
    const asked = this.#socket;
    this.#rpc.call("ping", {}, PROBE_TIMEOUT_MS).catch((thrown: unknown) => {
      if (this.#socket !== asked || thrown instanceof RpcRefusal) return;
      this.#options.logger.warn("the server is silent", { detail: asOffhookError(thrown).detail });
      asked?.close();
    });
  }
}
