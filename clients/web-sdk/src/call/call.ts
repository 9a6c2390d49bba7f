/** A call, as the app sees it. call-state.ts decides; this does: microphone, peer connection, requests, notifications. */
import { asOffhookError, CallError, MediaError, type OffhookError } from "../errors.js";
import type { Logger } from "../logger.js";
import { openMicrophone } from "../media/devices.js";
import { Peer } from "../media/peer.js";
import type { CallStats } from "../media/stats.js";
import {
  readableHeaders,
  type CallIds,
  type CallMessage,
  type CustomHeaders,
  type Header,
  type TransferNews,
} from "../signaling/messages.js";
import { RpcLost } from "../signaling/rpc.js";
import { CallRequests } from "./requests.js";
import type { RememberedCall } from "../session/page-memory.js";
import { inboundCall, isLive, isTalking, outboundCall, recoveredCall, stepCall } from "./call-state.js";
import type {
  CallDirection,
  CallEffect,
  CallEnd,
  CallInput,
  CallModel,
  CallStateName,
} from "./call-state.js";

/** RFC 4733's telephone keys; letters for the fourth column. */
const DIGITS = /^[0-9*#A-Da-d]+$/;

/** What is done for a call only while it lives. */
const OF_LIVE_CALLS: readonly CallEffect["type"][] = [
  "make-offer",
  "make-answer",
  "send-invite",
  "send-answer",
  "apply-remote-media",
  "renew-media",
  "send-attach",
  "search-path",
];

export interface NewCallOptions {
  /** Number, SIP address or user to call. */
  readonly destinationNumber: string;
  readonly callerNumber?: string | undefined;
  readonly callerName?: string | undefined;
  /** Headers of the SIP INVITE that the carrier gets; names begin with `X-`. */
  readonly customHeaders?: readonly Header[] | undefined;
  /** Constraints for the microphone. */
  readonly audio?: MediaTrackConstraints | true | undefined;
  /** Audio to send instead of the microphone's. The app keeps owning it. */
  readonly localStream?: MediaStream | undefined;
  /** Element that plays the far end; without it the SDK plays by itself. */
  readonly remoteElement?: HTMLMediaElement | undefined;
}

export type AnswerOptions = Pick<NewCallOptions, "customHeaders" | "audio" | "localStream" | "remoteElement">;

/** What a call needs of its client. */
export interface CallContext {
  readonly iceServers: readonly RTCIceServer[];
  readonly logger: Logger;
  request(method: string, params: Record<string, unknown>): Promise<Record<string, unknown>>;
  onUpdate(call: Call): void;
  onDigits(call: Call, digits: string): void;
  onText(call: Call, text: string): void;
  onFarHold(call: Call, held: boolean): void;
  onTransfer(call: Call, news: TransferNews): void;
  onError(call: Call, error: OffhookError): void;
}

interface Details {
  readonly id: string;
  readonly options: NewCallOptions;
  readonly headers: CustomHeaders;
  /** The server's offer of a call that we take. */
  readonly offer: string | null;
  readonly ids: CallIds;
}

export class Call {
  readonly id: string;
  /** For an outbound call the number called, for an inbound call the number that was called. */
  readonly destinationNumber: string;
  readonly callerNumber: string;
  readonly callerName: string;
  /** Headers of the far end: of its INVITE, or of its answer. */
  customHeaders: CustomHeaders;
  localStream: MediaStream | null = null;
  remoteStream: MediaStream | null = null;

  readonly #context: CallContext;
  readonly #requests: CallRequests;
  readonly #offer: string | null;
  #options: NewCallOptions;
  #model: CallModel;
  #shown: CallStateName = "new";
  #previous: CallStateName = "new";
  #ids: CallIds;
  #peer: Peer | null = null;
  #player: HTMLMediaElement | null = null;
  #muted = false;
  /** Who has come in place of the first far end. */
  #far: { readonly name: string; readonly number: string } | null = null;
  #answeredAt: number | null = null;

  private constructor(context: CallContext, model: CallModel, details: Details) {
    this.id = details.id;
    this.destinationNumber = details.options.destinationNumber;
    this.callerNumber = details.options.callerNumber ?? "";
    this.callerName = details.options.callerName ?? "";
    this.customHeaders = details.headers;
    this.#context = context;
    this.#requests = new CallRequests(details.id, (method, params) => context.request(method, params));
    this.#model = model;
    this.#options = details.options;
    this.#offer = details.offer;
    this.#ids = details.ids;
  }

  /** @internal Begins a call that the app places. */
  static dial(context: CallContext, options: NewCallOptions): Call {
    const call = new Call(context, outboundCall(), {
      id: crypto.randomUUID(),
      options,
      headers: readableHeaders([]),
      offer: null,
      ids: { sessionId: null, legId: null },
    });
    call.#step({ type: "dial" });
    return call;
  }

  /** @internal Takes note of a call that the server announces. */
  static announced(context: CallContext, invite: CallMessage & { type: "invite" }): Call {
    const call = new Call(context, inboundCall(), {
      id: invite.callId,
      options: {
        destinationNumber: invite.calleeNumber,
        callerNumber: invite.callerNumber,
        callerName: invite.callerName,
      },
      headers: invite.headers,
      offer: invite.sdp,
      ids: invite.ids,
    });
    call.#step({ type: "ringing" });
    return call;
  }

  /** @internal Takes up a call of the page before this one. */
  static recovered(
    context: CallContext,
    was: RememberedCall,
    attach: CallMessage & { type: "attach" },
  ): Call {
    const { destinationNumber, callerNumber, callerName } = was;
    const call = new Call(context, recoveredCall(was.direction, was.held), {
      id: was.id,
      options: { destinationNumber, callerNumber, callerName },
      headers: readableHeaders([]),
      offer: null,
      ids: attach.ids,
    });
    call.#answeredAt = was.answeredAt;
    call.#muted = Boolean(was.muted);
    call.#step({ type: "attach", sdp: attach.sdp });
    return call;
  }

  /** @internal What the next page has to know to take this call up; `null` if it cannot. */
  remember(): RememberedCall | null {
    if (!isTalking(this.#model)) return null;
    const { id, direction, destinationNumber, callerNumber, callerName, answeredAt } = this;
    const { held } = this.#model;
    const muted = this.#muted;
    return { id, direction, destinationNumber, callerNumber, callerName, held, muted, answeredAt };
  }

  get state(): CallStateName {
    return this.#shown;
  }

  get prevState(): CallStateName {
    return this.#previous;
  }

  get direction(): CallDirection {
    return this.#model.direction;
  }

  /** Why the call ended; `null` while it lives. */
  get end(): CallEnd | null {
    return this.#model.end;
  }

  get cause(): string | null {
    return this.#model.end?.cause ?? null;
  }

  get causeCode(): number | null {
    return this.#model.end?.causeCode ?? null;
  }

  get sipCode(): number | null {
    return this.#model.end?.sipCode ?? null;
  }

  get sipReason(): string | null {
    return this.#model.end?.sipReason ?? null;
  }

  /** The server's names of this call: `sessionId` finds it in the server's logs and traces. */
  get ids(): CallIds {
    return this.#ids;
  }

  get isMuted(): boolean {
    return this.#muted;
  }

  /** The far end has put us on hold. */
  get heldByFarEnd(): boolean {
    return this.#model.heldByFarEnd;
  }

  /** When the call became active, in ms since the epoch. */
  get answeredAt(): number | null {
    return this.#answeredAt;
  }

  /** Takes an inbound call. */
  answer(options: AnswerOptions = {}): void {
    this.#options = { ...this.#options, ...options };
    this.#step({ type: "accept" });
  }

  /** Ends the call, whatever its state: cancels, rejects or hangs up. */
  hangup(): void {
    this.#step({ type: "hangup" });
  }

  /** Sends silence. Nobody is told: it is not a matter of the signalling. */
  mute(): void {
    this.#setMuted(true);
  }

  unmute(): void {
    this.#setMuted(false);
  }

  /** Puts the far end on hold. Resolves when the server has done it; `held` follows only then. */
  hold(): Promise<void> {
    return this.#modify("hold");
  }

  unhold(): Promise<void> {
    return this.#modify("unhold");
  }

  toggleHold(): Promise<void> {
    return this.#modify(this.#model.held ? "unhold" : "hold");
  }

  /**
   * Hands the far end over: to a number, SIP address or user, or to the far end of another call of ours. Resolves
   * when the server has taken it on; the calls end by themselves once the others talk.
   */
  async transfer(to: string | Call): Promise<void> {
    this.#needTalking(44901);
    await (typeof to === "string" ? this.#requests.transfer(to) : this.#requests.replace(to.id));
  }

  /** Sends telephone keys: `0`-`9`, `*`, `#`, `A`-`D`. */
  async sendDigits(digits: string): Promise<void> {
    if (!DIGITS.test(digits)) throw new CallError(44006, { callId: this.id });
    this.#needTalking(44006);
    await this.#requests.digits(digits.toUpperCase());
  }

  /** Sends a text to the far end. */
  async message(text: string): Promise<void> {
    this.#needTalking(44902);
    await this.#requests.message(this.callerNumber, this.destinationNumber, text);
  }

  /** Searches a new network path for the audio, as the SDK does by itself when the old one breaks. */
  restartMedia(): void {
    this.#step({ type: "path-lost", final: false });
  }

  /** How the audio does right now; `null` before the peer connection exists. */
  async stats(): Promise<CallStats | null> {
    return this.#peer ? this.#peer.stats() : null;
  }

  /** Number or user of the far end: of another one than at first, after a transfer. */
  get farNumber(): string {
    return this.#far?.number ?? (this.direction === "inbound" ? this.callerNumber : this.destinationNumber);
  }

  /** Name of the far end, where it has told one. */
  get farName(): string {
    return this.#far?.name ?? (this.direction === "inbound" ? this.callerName : "");
  }

  /** Name of {@link Call.mute} in the public dialect. */
  muteAudio(): void {
    this.mute();
  }

  /** Name of {@link Call.unmute} in the public dialect. */
  unmuteAudio(): void {
    this.unmute();
  }

  /** Name of {@link Call.sendDigits} in the public dialect; what fails is emitted as `error`. */
  dtmf(digits: string): void {
    this.sendDigits(digits).catch((thrown: unknown) => this.#context.onError(this, asOffhookError(thrown)));
  }

  /** @internal */
  get live(): boolean {
    return isLive(this.#model);
  }

  /** @internal The server says something about this call. */
  handle(message: CallMessage): void {
    switch (message.type) {
      case "ringing":
        this.#ids = message.ids;
        return this.#step({ type: "ringing" });
      case "media":
        return this.#step({ type: "media", sdp: message.sdp });
      case "answer":
        if (message.ids.sessionId !== null) this.#ids = message.ids;
        if (message.headers.length > 0) this.customHeaders = message.headers;
        return this.#step({ type: "answer", sdp: message.sdp });
      case "bye":
        if (message.headers.length > 0) this.customHeaders = message.headers;
        this.#step({ type: "remote-bye", end: message });
        return this.#step({ type: "hangup-confirmed" });
      case "attach":
        this.#ids = message.ids;
        return this.#step({ type: "attach", sdp: message.sdp });
      case "early-media":
        return this.#step({ type: "early-media" });
      case "far-hold":
        return this.#step({ type: "far-hold-changed", held: message.held });
      case "transfer":
        return this.#context.onTransfer(this, message.transfer);
      case "display":
        this.#far = { name: message.name, number: message.number };
        return this.#context.onUpdate(this);
      case "digits":
        return this.#context.onDigits(this, message.digits);
      case "text":
        return this.#context.onText(this, message.text);
      case "invite":
        return;
    }
  }

  /** @internal The server can be asked again. */
  signalingBack(): void {
    this.#step({ type: "signaling-back" });
  }

  /** @internal The server no longer has this call. */
  lose(): void {
    this.#step({ type: "lost", error: new CallError(48501, { callId: this.id }) });
  }

  #step(input: CallInput): void {
    const [model, effects] = stepCall(this.#model, input);
    this.#model = model;
    for (const effect of effects) {
      // The app may have hung up when it heard of the effect before.
      if (this.live || !OF_LIVE_CALLS.includes(effect.type)) this.#perform(effect);
    }
  }

  #perform(effect: CallEffect): void {
    switch (effect.type) {
      case "enter":
        return this.#enter(effect.state);
      case "make-offer":
        return this.#attempt(async () => {
          const sdp = await (await this.#openPeer()).offer();
          this.#step({ type: "offer-made", sdp });
        });
      case "make-answer":
        return this.#attempt(async () => {
          const sdp = await (await this.#openPeer()).answer(this.#offer ?? "");
          this.#step({ type: "answer-made", sdp });
        });
      case "send-invite":
        return this.#attempt(async () => {
          await this.#requests.describe("invite", effect.sdp, this.#dialog());
          this.#step({ type: "invite-accepted" });
        });
      case "send-answer":
        return this.#attempt(async () => {
          await this.#requests.describe("answer", effect.sdp, this.#dialog());
          this.#step({ type: "answer-accepted" });
        });
      case "renew-media":
        return this.#attempt(() => this.#renewMedia(effect.sdp));
      case "send-attach":
        return this.#attempt(async () => {
          await this.#requests.describe("attach", effect.sdp, this.#dialog());
          this.#step({ type: "attach-accepted" });
        });
      case "search-path":
        return this.#attempt(() => this.#searchPath());
      case "far-hold":
        return this.#context.onFarHold(this, effect.held);
      case "apply-remote-media":
        return this.#attempt(async () => {
          await this.#peer?.acceptAnswer(effect.sdp);
          this.#step({ type: "remote-media-applied" });
        });
      case "send-bye":
        return void this.#sendBye(effect.end);
      case "close-media":
        return this.#closeMedia();
      case "report":
        return this.#context.onError(this, effect.error);
    }
  }

  /** Runs one asynchronous effect; its failure ends the call, unless the call has ended meanwhile. */
  #attempt(work: () => Promise<void>): void {
    work().catch((thrown: unknown) => {
      if (this.live) this.#step({ type: "failed", error: asOffhookError(thrown) });
    });
  }

  #enter(state: CallStateName): void {
    this.#previous = this.#shown;
    this.#shown = state;
    if (state === "active") this.#answeredAt ??= Date.now();
    this.#context.logger.info(`call ${this.#previous} -> ${state}`, { call: this.id });
    this.#context.onUpdate(this);
  }

  async #openPeer(): Promise<Peer> {
    const own = this.#options.localStream;
    const stream = own ?? (await openMicrophone(this.#options.audio ?? true));
    if (!this.live) {
      if (!own) stopTracks(stream);
      throw new CallError(44002, { callId: this.id, detail: "the call ended before it began" });
    }
    if (this.localStream && !own) {
      // Opened by whoever asked first, while this one waited for the browser.
      stopTracks(stream);
      return this.#newPeer(this.localStream);
    }
    this.localStream = stream;
    this.#setMuted(this.#muted);
    return this.#newPeer(stream);
  }

  /** A fresh connection for the same microphone, muted or not as before, in place of the one there was. */
  #newPeer(stream: MediaStream): Peer {
    this.#peer?.close();
    this.#peer = new Peer(this.#context.iceServers, stream, {
      onRemoteStream: (remote) => this.#play(remote),
      onPathUp: () => this.#step({ type: "path-up" }),
      onPathLost: (final) => this.#step({ type: "path-lost", final }),
    });
    return this.#peer;
  }

  /** Answers the server's offer of new media. One that comes meanwhile takes over, and this one's end is of no interest. */
  async #renewMedia(offer: string): Promise<void> {
    const peer = this.localStream ? this.#newPeer(this.localStream) : await this.#openPeer();
    try {
      const sdp = await peer.answer(offer);
      if (this.#peer === peer) this.#step({ type: "answer-made", sdp });
    } catch (thrown) {
      if (this.#peer === peer) throw thrown;
    }
  }

  async #searchPath(): Promise<void> {
    const peer = this.#peer;
    if (!peer) return;
    try {
      await peer.acceptAnswer(await this.#requests.updateMedia(await peer.restartOffer()));
      this.#step({ type: "search-done", connected: peer.connected });
    } catch (thrown) {
      // Moved to a new peer connection meanwhile, or the server cannot be asked at the moment.
      if (this.#peer !== peer) return;
      if (!(thrown instanceof RpcLost)) throw new MediaError(47002, { callId: this.id, cause: thrown });
      this.#step({ type: "search-postponed" });
    }
  }

  #play(stream: MediaStream): void {
    this.remoteStream = stream;
    this.#player ??= this.#options.remoteElement ?? new Audio();
    this.#player.srcObject = stream;
    this.#player.play().catch((thrown: unknown) => {
      this.#context.logger.warn("the browser does not play yet: click on the page", {
        detail: String(thrown),
      });
    });
  }

  #dialog() {
    const { destinationNumber, callerNumber, callerName } = this;
    return { destinationNumber, callerNumber, callerName, customHeaders: this.#options.customHeaders };
  }

  async #sendBye(end: CallEnd): Promise<void> {
    try {
      await this.#requests.bye(end);
    } catch (thrown) {
      this.#context.onError(this, asOffhookError(thrown));
    }
    this.#step({ type: "hangup-confirmed" });
  }

  async #modify(action: "hold" | "unhold"): Promise<void> {
    this.#needTalking(44001);
    this.#step({ type: "hold-changed", held: await this.#requests.hold(action) });
  }

  #needTalking(code: 44001 | 44006 | 44901 | 44902): void {
    if (isTalking(this.#model)) return;
    throw new CallError(code, { callId: this.id, detail: `the call is ${this.#model.state}` });
  }

  #setMuted(muted: boolean): void {
    this.#muted = muted;
    for (const track of this.localStream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  #closeMedia(): void {
    this.#peer?.close();
    this.#peer = null;
    // The app may let another call play there by now.
    const player = this.#player;
    if (player && player.srcObject === this.remoteStream) player.srcObject = null;
    this.#player = null;
    if (this.localStream && this.localStream !== this.#options.localStream) stopTracks(this.localStream);
  }
}

function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
