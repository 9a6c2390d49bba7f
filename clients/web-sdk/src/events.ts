/** Typed events. Each has our name and, where the public dialect has one, that name too: both deliver the same object. */
import type { Call } from "./call/call.js";
import type { OffhookError } from "./errors.js";
import type { TransferNews } from "./signaling/messages.js";

/** `call` changed its state. */
export interface CallUpdate {
  readonly type: "callUpdate";
  readonly call: Call;
}

/** What each event carries. */
export interface ClientEvents {
  /** Logged in and registered: calls can be placed and taken. Once per connection. */
  ready: { readonly sessionId: string; readonly region: string | null };
  /** A call changed its state. */
  notification: CallUpdate;
  /** The far end has pressed telephone keys. */
  digits: { readonly call: Call; readonly digits: string };
  /** The far end has sent a text. */
  message: { readonly call: Call; readonly text: string };
  /** The far end has put us on hold, or taken us back; `call.heldByFarEnd` says the same. */
  farHold: { readonly call: Call; readonly held: boolean };
  /**
   * How a transfer goes that we have asked for (`by` is `us`), or by which the far end sends us to somebody else: then
   * `call.farNumber` has changed once it is `done`.
   */
  transfer: { readonly call: Call } & TransferNews;
  /** Something failed, on the call of that id if there is one; `error.remedy` says what to do. */
  error: { readonly error: OffhookError; readonly callId: string | null };
  /** The connection was lost; try `attempt` follows after `delayMs`. */
  reconnecting: { readonly attempt: number; readonly delayMs: number };
  /** Ready again after a loss. */
  reconnected: { readonly sessionId: string };
  /** Not connected any more: asked for by the app, given up for now, or ended by the server. */
  disconnected: { readonly reason: DisconnectReason };
}

export type DisconnectReason = "requested" | "exhausted" | "login-refused" | "ended-by-server";

const ALIASES = {
  "telnyx.ready": "ready",
  "telnyx.notification": "notification",
  "telnyx.error": "error",
} as const satisfies Record<string, keyof ClientEvents>;

type Alias = keyof typeof ALIASES;
export type EventName = keyof ClientEvents | Alias;
export type Payload<N extends EventName> = N extends Alias
  ? ClientEvents[(typeof ALIASES)[N]]
  : N extends keyof ClientEvents
    ? ClientEvents[N]
    : never;
export type Listener<N extends EventName> = (payload: Payload<N>) => void;

/** Keeps listeners by event; a listener that throws disturbs neither the others nor the SDK. */
export class Emitter {
  readonly #listeners = new Map<keyof ClientEvents, Set<(payload: never) => void>>();
  readonly #onThrow: (thrown: unknown) => void;

  constructor(onThrow: (thrown: unknown) => void) {
    this.#onThrow = onThrow;
  }

  on<N extends EventName>(name: N, listener: Listener<N>): void {
    const key = canonical(name);
    const set = this.#listeners.get(key) ?? new Set();
    set.add(listener);
    this.#listeners.set(key, set);
  }

  /** Removes one listener, or all of the event. */
  off<N extends EventName>(name: N, listener?: Listener<N>): void {
    if (listener) this.#listeners.get(canonical(name))?.delete(listener);
    else this.#listeners.delete(canonical(name));
  }

  emit<N extends keyof ClientEvents>(name: N, payload: ClientEvents[N]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (payload: ClientEvents[N]) => void)(payload);
      } catch (thrown) {
        this.#onThrow(thrown);
      }
    }
  }
}

function canonical(name: EventName): keyof ClientEvents {
  return name in ALIASES ? ALIASES[name as Alias] : (name as keyof ClientEvents);
}
