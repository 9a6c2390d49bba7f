/** Microphones and speakers of this browser. */
import { MediaError } from "../errors.js";

/** Opens the microphone, with the browser's processing for speech unless the app asks otherwise. */
export async function openMicrophone(audio: MediaTrackConstraints | true): Promise<MediaStream> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (!devices) {
    throw new MediaError(42003, { detail: "the page is neither on https nor on localhost" });
  }
  try {
    return await devices.getUserMedia({ audio, video: false });
  } catch (thrown) {
    throw microphoneError(thrown);
  }
}

/** Names every failure of `getUserMedia`. */
export function microphoneError(thrown: unknown): MediaError {
  const name = thrown instanceof Error ? thrown.name : "";
  const context = { detail: thrown instanceof Error ? thrown.message : String(thrown), cause: thrown };
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new MediaError(42001, context);
    case "NotFoundError":
    case "OverconstrainedError":
      return new MediaError(42002, context);
    default:
      return new MediaError(42003, context);
  }
}

/** Devices of one kind. Labels are empty until the page was allowed to use the microphone once. */
export async function listDevices(kind: "audioinput" | "audiooutput"): Promise<MediaDeviceInfo[]> {
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter((device) => device.kind === kind);
}
