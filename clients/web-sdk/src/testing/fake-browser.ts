/** What tests put in place of the browser: a socket whose other end the test plays, microphones and peer connections. */
import assert from "node:assert/strict";
import { mock } from "node:test";
import { fakeStorage } from "./page-before.js";

export type Json = Record<string, unknown> & {
  id?: string;
  method?: string;
  params?: Record<string, unknown>;
};

/** Lets promises run as far as they go. */
export function settled(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

/** Stands in for the browser's socket; the test plays the server's side. */
export class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  /** Whether the closing handshake takes its time, as over a dead network. */
  static closesLate = false;
  readonly sent: Json[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  /** The latest, or the one of that index. */
  static at(index = -1): FakeSocket {
    const found = FakeSocket.all.at(index);
    assert.ok(found);
    return found;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Json);
  }

  close(): void {
    this.readyState = 3;
    if (!FakeSocket.closesLate) this.onclose?.();
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** Sends a frame to the client and lets its promises run. */
  async say(frame: object): Promise<void> {
    this.onmessage?.({ data: JSON.stringify({ jsonrpc: "2.0", voice_sdk_id: "v1", ...frame }) });
    await settled();
  }

  last(method: string): Json {
    const found = this.sent.findLast((message) => message.method === method);
    assert.ok(found, `${method} was sent`);
    return found;
  }

  count(method: string): number {
    return this.sent.filter((message) => message.method === method).length;
  }

  /** Answers the login and says which calls there still are. */
  async letIn(kept: readonly string[] = []): Promise<void> {
    this.open();
    await this.say({ id: this.last("login").id, result: { message: "logged in", sessid: "s1" } });
    await this.say({ id: 1, method: "telnyx_rtc.clientReady", params: { reattached_sessions: kept } });
    await this.say({
      id: this.last("telnyx_rtc.gatewayState").id,
      result: { params: { state: "REGED", region: "eu" } },
    });
  }
}

class FakeTrack {
  enabled = true;
  stopped = false;
  stop(): void {
    this.stopped = true;
  }
}

/** A microphone's stream. */
export class FakeStream {
  static all: FakeStream[] = [];
  readonly track = new FakeTrack();
  constructor() {
    FakeStream.all.push(this);
  }
  getTracks(): FakeTrack[] {
    return [this.track];
  }
  getAudioTracks(): FakeTrack[] {
    return [this.track];
  }
}

/** A peer connection that, once closed, refuses everything, also what was under way. */
export class FakePeer {
  static all: FakePeer[] = [];
  readonly connectionState = "new";
  readonly signalingState = "stable";
  localDescription: { sdp: string } | null = null;
  ontrack: ((event: { streams: FakeStream[] }) => void) | null = null;
  closed = false;

  constructor() {
    FakePeer.all.push(this);
  }

  async setRemoteDescription(): Promise<void> {
    await this.#work();
  }

  async setLocalDescription(): Promise<void> {
    await this.#work();
    this.localDescription = { sdp: `v=0 of ${FakePeer.all.indexOf(this)}` };
  }

  addTransceiver(): object {
    return { setCodecPreferences: () => {} };
  }

  createOffer(): Promise<object> {
    return this.createAnswer();
  }

  async createAnswer(): Promise<object> {
    await this.#work();
    return {};
  }

  addTrack(): void {
    if (this.closed) throw new Error("closed");
  }

  close(): void {
    this.closed = true;
  }

  async #work(): Promise<void> {
    if (this.closed) throw new Error("closed");
    await settled();
    if (this.closed) throw new Error("closed");
  }
}

/** Puts all of it in place, with timers that the test moves. */
export function fakeBrowser(): void {
  FakeSocket.all = [];
  FakeSocket.closesLate = false;
  FakeStream.all = [];
  FakePeer.all = [];
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  const mediaDevices = { getUserMedia: () => settled().then(() => new FakeStream()) };
  Object.defineProperty(globalThis, "navigator", { value: { mediaDevices }, configurable: true });
  const RTCRtpReceiver = { getCapabilities: () => null };
  Object.assign(globalThis, { WebSocket: FakeSocket, RTCPeerConnection: FakePeer, RTCRtpReceiver });
}

/** The tab's storage and the page's end. */
export class FakePage {
  readonly listeners = new Set<unknown>();

  constructor() {
    const sessionStorage = fakeStorage();
    const addEventListener = (_name: string, listener: unknown) => void this.listeners.add(listener);
    const removeEventListener = (_name: string, listener: unknown) => void this.listeners.delete(listener);
    Object.assign(globalThis, { sessionStorage, addEventListener, removeEventListener });
  }
}
