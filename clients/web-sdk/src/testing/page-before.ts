/** What a page before this one may have left in its tab. */
import type { Remembered, RememberedCall } from "../session/page-memory.js";

export const REMEMBERED_CALL: RememberedCall = {
  id: "c1",
  direction: "outbound",
  destinationNumber: "9196",
  callerNumber: "",
  callerName: "",
  held: false,
  muted: false,
  answeredAt: 1,
};

export const REMEMBERED: Remembered = { sessionId: "s1", voiceSdkId: "v1", calls: [REMEMBERED_CALL] };

/** The storage of a tab. */
export function fakeStorage(): Storage {
  const items = new Map<string, string>();
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  } as Storage;
}
