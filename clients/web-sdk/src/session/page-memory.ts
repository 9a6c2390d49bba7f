/** What a page leaves for itself in its tab, so that loading it anew does not end its calls. */

/** Longer than servers keep the calls of a page that is gone. */
const KEPT_MS = 90_000;
const KEY = "offhook-session";

/** What is known of a call that is up. */
export interface RememberedCall {
  readonly id: string;
  readonly direction: "inbound" | "outbound";
  readonly destinationNumber: string;
  readonly callerNumber: string;
  readonly callerName: string;
  readonly held: boolean;
  readonly muted: boolean;
  readonly answeredAt: number | null;
}

export interface Remembered {
  readonly sessionId: string;
  readonly voiceSdkId: string | null;
  readonly calls: readonly RememberedCall[];
}

/** The storage of this tab; `null` where the browser keeps it from us, because the person allows no site data, say. */
export function tabStorage(): Storage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

/** Leaves a session for the next page of this tab; without calls there is nothing to leave. */
export function remember(storage: Storage | null, session: Remembered, nowMs: number): void {
  if (session.calls.length === 0) return storage?.removeItem(KEY);
  storage?.setItem(KEY, JSON.stringify({ ...session, at: nowMs }));
}

/** Takes what the page before has left, once. */
export function recall(storage: Storage | null, nowMs: number): Remembered | null {
  const text = storage?.getItem(KEY) ?? null;
  storage?.removeItem(KEY);
  if (text === null) return null;
  try {
    const { at, ...session } = JSON.parse(text) as Remembered & { at: number };
    return nowMs - at <= KEPT_MS && Array.isArray(session.calls) ? session : null;
  } catch {
    return null;
  }
}
