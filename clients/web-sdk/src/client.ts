/** The client: credentials in, calls and events out. Nothing happens before `connect()`. */
import { Call, type NewCallOptions } from "./call/call.js";
import { CallError, SessionError, type OffhookError } from "./errors.js";
import { Emitter, type EventName, type Listener } from "./events.js";
import { createLogger, type Logger, type LogLevel } from "./logger.js";
import { recall, remember, tabStorage, type Remembered, type RememberedCall } from "./session/page-memory.js";
import { RECONNECT_WINDOW_MS } from "./session/reconnect.js";
import { Session } from "./session/session.js";
import type { CallMessage, TransferNews } from "./signaling/messages.js";

/** More calls at once than one person can handle by far; bounds what a server can make a page allocate. */
const CALLS_MAX = 32;

export interface ClientOptions {
  /** `wss://voice.example.com`, or a bare host name. */
  readonly host: string;
  readonly login?: string | undefined;
  readonly password?: string | undefined;
  /** A JWT instead of user and password. */
  readonly login_token?: string | undefined;
  /** STUN and TURN servers; none are needed where the server's UDP port can be reached. */
  readonly iceServers?: readonly RTCIceServer[] | undefined;
  /** Connect the audio path while the far end still rings. On unless `false`. */
  readonly earlySdpAnswer?: boolean | undefined;
  readonly userVariables?: Record<string, unknown> | undefined;
  /**
   * Take up the calls of this tab when its page is loaded anew: the new page logs in as the same user, and each call
   * that was up appears in state `recovering`. Off unless `true`; without it such calls end after a while.
   */
  readonly recoverCalls?: boolean | undefined;
  /**
   * How long a lost connection is tried again before `disconnected` says that it was given up for now, in milliseconds: 30,000
   * unless given. 0 is for ever: then `reconnecting` goes on, each 15 s at last.
   */
  readonly reconnectWindowMs?: number | undefined;
  readonly logLevel?: LogLevel | undefined;
}

export class OffhookClient {
  readonly #calls = new Map<string, Call>();
  readonly #logger: Logger;
  readonly #emitter: Emitter;
  readonly #session: Session;
  readonly #iceServers: readonly RTCIceServer[];
  readonly #recoversCalls: boolean;
  readonly #onPageHide = (): void => this.#leavePage();
  /** What the page before this one has left; `null` once the server was reached with it. */
  #before: Remembered | null;
  /** Calls of the page before this one, until the server offers them anew. */
  readonly #recoverable = new Map<string, RememberedCall>();

  constructor(options: ClientOptions) {
    const { login, password, login_token: loginToken } = options;
    if (!loginToken && !(login && password)) throw new SessionError(46002);
    if (!options.host) throw new SessionError(45001);
    const reconnectWindowMs = options.reconnectWindowMs ?? RECONNECT_WINDOW_MS;
    if (!(reconnectWindowMs >= 0 && Number.isFinite(reconnectWindowMs))) {
      throw new SessionError(45901, { detail: `reconnectWindowMs: ${reconnectWindowMs}` });
    }
    this.#logger = createLogger(options.logLevel ?? "warn");
    this.#emitter = new Emitter((thrown) => this.#logger.error("a listener threw", { thrown }));
    this.#iceServers = options.iceServers ?? [];
    this.#recoversCalls = options.recoverCalls ?? false;
    this.#before = this.#recoversCalls ? recall(tabStorage(), Date.now()) : null;
    for (const call of this.#before?.calls ?? []) this.#recoverable.set(call.id, call);
    this.#session = new Session(
      {
        host: options.host,
        credentials: { login, password, loginToken },
        earlySdpAnswer: options.earlySdpAnswer ?? true,
        userVariables: options.userVariables ?? {},
        reconnectWindowMs,
        resume: this.#before,
        logger: this.#logger,
      },
      {
        onReady: ({ sessionId, region, again }) => {
          this.#before = null;
          if (again) this.#emitter.emit("reconnected", { sessionId });
          for (const call of [...this.#calls.values()]) call.signalingBack();
          this.#emitter.emit("ready", { sessionId, region });
        },
        onReconnecting: (attempt, delayMs) => this.#emitter.emit("reconnecting", { attempt, delayMs }),
        onDisconnected: (reason) => {
          if (this.#recoversCalls && reason !== "exhausted") this.#leaveSession();
          this.#emitter.emit("disconnected", { reason });
        },
        onError: (error) => this.#reportError(error),
        onCallMessage: (message) => this.#onCallMessage(message),
        onCallsKept: (callIds) => this.#keepCalls(callIds),
        onCallsDropped: () => {
          // Before the first login there are only those of the page before, for whoever logs in at the second try.
          if (this.#before === null) this.#keepCalls([]);
        },
      },
    );
  }

  /** True between `ready` and the loss or end of the connection. */
  get connected(): boolean {
    return this.#session.ready;
  }

  get sessionId(): string | null {
    return this.#session.sessionId;
  }

  /** The calls that have not ended, by id. */
  get calls(): ReadonlyMap<string, Call> {
    return this.#calls;
  }

  /** Opens the connection and logs in; `ready` follows. Also starts again after `disconnected`. */
  connect(): void {
    if (this.#recoversCalls) addEventListener("pagehide", this.#onPageHide);
    this.#session.connect();
  }

  /** Hangs up every call and closes the connection. */
  disconnect(): void {
    for (const call of [...this.#calls.values()]) call.hangup();
    this.#session.disconnect();
  }

  /** Places a call. Returns at once, in state `new`; `notification` events follow. Throws before `ready`. */
  newCall(options: NewCallOptions): Call {
    if (!options.destinationNumber) throw new CallError(44002);
    if (!this.#session.ready) throw new CallError(44007);
    if (this.#calls.size >= CALLS_MAX) throw new CallError(44002, { detail: `more than ${CALLS_MAX} calls` });
    const call = Call.dial(this.#callContext(), options);
    this.#calls.set(call.id, call);
    return call;
  }

  /** Listens to an event, by our name (`ready`) or that of the public dialect (`telnyx.ready`). */
  on<N extends EventName>(name: N, listener: Listener<N>): this {
    this.#emitter.on(name, listener);
    return this;
  }

  off<N extends EventName>(name: N, listener?: Listener<N>): this {
    this.#emitter.off(name, listener);
    return this;
  }

  #callContext() {
    return {
      iceServers: this.#iceServers,
      logger: this.#logger,
      request: (method: string, params: Record<string, unknown>) => this.#session.request(method, params),
      onUpdate: (call: Call) => {
        if (call.state === "destroy") this.#calls.delete(call.id);
        this.#emitter.emit("notification", { type: "callUpdate", call });
      },
      onDigits: (call: Call, digits: string) => this.#emitter.emit("digits", { call, digits }),
      onText: (call: Call, text: string) => this.#emitter.emit("message", { call, text }),
      onFarHold: (call: Call, held: boolean) => this.#emitter.emit("farHold", { call, held }),
      onTransfer: (call: Call, news: TransferNews) => this.#emitter.emit("transfer", { call, ...news }),
      onError: (call: Call, error: OffhookError) => this.#reportError(error, call.id),
    };
  }

  #onCallMessage(message: CallMessage): boolean {
    const known = this.#calls.get(message.callId);
    if (known) {
      known.handle(message);
      return true;
    }
    if (this.#calls.size >= CALLS_MAX) return false;
    const { onUpdate, ...others } = this.#callContext();
    const context = { ...others, onUpdate: (call: Call) => this.#admit(call, onUpdate) };
    if (message.type === "invite") return Call.announced(context, message).live;
    const was = this.#recoverable.get(message.callId);
    if (message.type !== "attach" || !was) return false;
    this.#recoverable.delete(message.callId);
    return Call.recovered(context, was, message).live;
  }

  /** A call that the app has not placed has to be in `calls` before the app hears of it. */
  #admit(call: Call, onUpdate: (call: Call) => void): void {
    if (call.live) this.#calls.set(call.id, call);
    onUpdate(call);
  }

  #keepCalls(callIds: readonly string[]): void {
    for (const call of [...this.#calls.values()]) {
      if (!callIds.includes(call.id)) call.lose();
    }
    for (const callId of this.#recoverable.keys()) {
      if (callIds.includes(callId)) continue;
      this.#recoverable.delete(callId);
      this.#reportError(new CallError(48501, { callId }));
    }
    for (const callId of callIds) {
      if (!this.#calls.has(callId) && !this.#recoverable.has(callId)) this.#endForgotten(callId);
    }
  }

  #leavePage(): void {
    const { sessionId, voiceSdkId } = this.#session;
    if (sessionId === null) return;
    const calls = [...this.#calls.values()].map((call) => call.remember()).filter((call) => call !== null);
    remember(tabStorage(), { sessionId, voiceSdkId, calls }, Date.now());
  }

  /** Nobody is logged in any more: another client may be, and its calls are what the next page has to know. */
  #leaveSession(): void {
    removeEventListener("pagehide", this.#onPageHide);
    // Whoever logs in at the second try gets the calls of the page before all the same.
    if (this.#before) remember(tabStorage(), this.#before, Date.now());
    this.#before = null;
  }

  /** A call that was hung up here while the connection was down. */
  #endForgotten(callId: string): void {
    const params = { cause: "NORMAL_CLEARING", causeCode: 16, dialogParams: { callID: callId } };
    this.#session.request("bye", params).catch((thrown: unknown) => {
      this.#logger.warn("a forgotten call could not be ended", { callId, thrown });
    });
  }

  #reportError(error: OffhookError, callId: string | null = error.callId): void {
    this.#logger.warn(`${error.code} ${error.name}`, { detail: error.detail, call: callId });
    this.#emitter.emit("error", { error, callId });
  }
}
