/** States and causes in plain words, and what a person means by what is typed. */
import type { CallDirection, CallEnd, CallStateName } from "@offhook/web-sdk";

/** A call's state, as a person would say it. */
export function stateInWords(state: CallStateName, direction: CallDirection): string {
  switch (state) {
    case "new":
      return "Starting";
    case "requesting":
    case "trying":
      return "Calling";
    case "ringing":
      return direction === "inbound" ? "Incoming call" : "Ringing";
    case "early":
      return "Ringing, with sound";
    case "answering":
      return "Connecting";
    case "active":
      return "Talking";
    case "held":
      return "On hold";
    case "recovering":
      return "Reconnecting the sound";
    case "hangup":
    case "destroy":
      return "Ended";
  }
}

/** What there is to say of a call besides its state. */
export function holdInWords(heldByFarEnd: boolean): string {
  return heldByFarEnd ? "The far end has put you on hold." : "";
}

const BY_SIP_CODE: Readonly<Record<number, string>> = {
  200: "Handed over: they talk without you now.",
  403: "The carrier does not allow this call.",
  404: "This number does not exist.",
  408: "Nobody answered in time.",
  410: "This number does not exist any more.",
  480: "Nobody can be reached there at the moment.",
  486: "Busy: they are on another call.",
  487: "The caller gave up.",
  488: "The far end cannot speak any of our codecs.",
  503: "No line to that number is free or working.",
  600: "Busy everywhere.",
  603: "They declined the call.",
};

const BY_CAUSE: Readonly<Record<string, string>> = {
  NORMAL_CLEARING: "They hung up.",
  USER_BUSY: "Busy: they are on another call.",
  NO_ANSWER: "Nobody answered.",
  UNALLOCATED_NUMBER: "This number does not exist.",
  CALL_REJECTED: "They declined the call.",
  ORIGINATOR_CANCEL: "The caller gave up.",
  NORMAL_TEMPORARY_FAILURE: "The call was lost on the way; try again.",
};

/** How a transfer goes. */
export function transferInWords(
  by: "us" | "far-end",
  state: "trying" | "done" | "failed",
  status: number | null,
): string {
  if (state === "trying") return by === "us" ? "They are being handed over." : "You are being handed over.";
  if (state === "done") return by === "us" ? "Handed over." : "You talk with somebody else now.";
  const why = status === null ? "" : ` (${status})`;
  return by === "us" ? `The transfer failed${why}: the call is yours again.` : `Their transfer failed${why}.`;
}

/** Why a call ended. `talked`: it had been answered. */
export function endInWords(end: CallEnd, direction: CallDirection, talked: boolean): string {
  if (end.by === "local") {
    if (talked) return "You hung up.";
    return direction === "inbound" ? "You declined." : "You gave up.";
  }
  if (end.sipCode !== null && BY_SIP_CODE[end.sipCode]) return BY_SIP_CODE[end.sipCode] ?? "";
  return BY_CAUSE[end.cause] ?? `The call ended: ${end.cause.toLowerCase().replaceAll("_", " ")}.`;
}

/** The exact words of the network, for those who want them: `486 Busy Here · USER_BUSY (17)`. */
export function endInDetail(end: CallEnd): string {
  const sip = end.sipCode === null ? null : `${end.sipCode} ${end.sipReason ?? ""}`.trim();
  return [sip, `${end.cause} (${end.causeCode})`].filter((part) => part !== null).join(" · ");
}

/** What to call: numbers lose what people write between their digits; users and SIP addresses stay as they are. */
export function destinationOf(typed: string): string {
  const text = typed.trim();
  return /^[+\d\s()./*#-]+$/.test(text) ? text.replaceAll(/[\s()./-]/g, "") : text;
}

/** `83_000` → `1:23`; hours only when there are some. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
