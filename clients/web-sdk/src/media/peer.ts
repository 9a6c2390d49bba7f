/**
 * One call's peer connection. The server's gateway is an ICE-lite host with a public address: it needs none of our
 * candidates to answer, so an offer leaves at once and connectivity checks bring the addresses.
 */
import { MediaError } from "../errors.js";
import { readStats, type CallStats } from "./stats.js";

/** In order of preference; everything else a browser offers for audio would only lengthen the offer. */
const CODECS = ["audio/opus", "audio/pcmu", "audio/pcma", "audio/telephone-event"];

export interface PeerHandlers {
  /** The far end's audio. */
  onRemoteStream(stream: MediaStream): void;
  /** Packets get through. */
  onPathUp(): void;
  /** No packet gets through; `final` once the browser has given up. */
  onPathLost(final: boolean): void;
}

export class Peer {
  readonly #connection: RTCPeerConnection;
  readonly #microphone: MediaStream;

  constructor(iceServers: readonly RTCIceServer[], microphone: MediaStream, handlers: PeerHandlers) {
    this.#connection = new RTCPeerConnection({ iceServers: [...iceServers], bundlePolicy: "max-bundle" });
    this.#microphone = microphone;
    this.#connection.ontrack = (event) => {
      handlers.onRemoteStream(event.streams[0] ?? new MediaStream([event.track]));
    };
    this.#connection.onconnectionstatechange = () => {
      const { connectionState } = this.#connection;
      if (connectionState === "connected") handlers.onPathUp();
      else if (connectionState === "failed") handlers.onPathLost(true);
      else if (connectionState === "disconnected") handlers.onPathLost(false);
    };
  }

  get connected(): boolean {
    return this.#connection.connectionState === "connected";
  }

  /** Makes the offer of a call that we place. */
  async offer(): Promise<string> {
    try {
      for (const track of this.#microphone.getAudioTracks()) {
        const sender = this.#connection.addTransceiver(track, {
          direction: "sendrecv",
          streams: [this.#microphone],
        });
        preferCodecs(sender);
      }
      await this.#connection.setLocalDescription(await this.#connection.createOffer());
      return this.#localSdp();
    } catch (thrown) {
      throw new MediaError(40001, { detail: String(thrown), cause: thrown });
    }
  }

  /** Makes an offer that searches a new path for the media that runs: an ICE restart (RFC 8445 §9). */
  async restartOffer(): Promise<string> {
    try {
      // An offer that was never answered would forbid the next one.
      if (this.#connection.signalingState === "have-local-offer") {
        await this.#connection.setLocalDescription({ type: "rollback" });
      }
      await this.#connection.setLocalDescription(await this.#connection.createOffer({ iceRestart: true }));
      return this.#localSdp();
    } catch (thrown) {
      throw new MediaError(40001, { detail: String(thrown), cause: thrown });
    }
  }

  /** Applies the server's answer to our offer. */
  async acceptAnswer(sdp: string): Promise<void> {
    try {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (thrown) {
      throw new MediaError(40004, { detail: String(thrown), cause: thrown });
    }
  }

  /** Answers the server's offer of a call that we take. */
  async answer(offer: string): Promise<string> {
    try {
      await this.#connection.setRemoteDescription({ type: "offer", sdp: offer });
    } catch (thrown) {
      throw new MediaError(40004, { detail: String(thrown), cause: thrown });
    }
    try {
      for (const track of this.#microphone.getAudioTracks())
        this.#connection.addTrack(track, this.#microphone);
      await this.#connection.setLocalDescription(await this.#connection.createAnswer());
      return this.#localSdp();
    } catch (thrown) {
      throw new MediaError(40002, { detail: String(thrown), cause: thrown });
    }
  }

  async stats(): Promise<CallStats> {
    const report = await this.#connection.getStats();
    return readStats([...report.values()]);
  }

  close(): void {
    this.#connection.ontrack = null;
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #localSdp(): string {
    const sdp = this.#connection.localDescription?.sdp;
    if (!sdp) throw new Error("the browser has no local description");
    return sdp;
  }
}

function preferCodecs(transceiver: RTCRtpTransceiver): void {
  const known = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
  const rank = (mimeType: string): number => CODECS.indexOf(mimeType.toLowerCase());
  const wanted = known
    .filter((codec) => rank(codec.mimeType) >= 0)
    .sort((a, b) => rank(a.mimeType) - rank(b.mimeType));
  if (wanted.length > 0) transceiver.setCodecPreferences(wanted);
}
