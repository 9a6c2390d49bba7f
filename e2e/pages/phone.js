// The app of the tests: the public SDK with a tone for a microphone. Everything it sees is written down.
"use strict";

const MICROPHONE_HZ = 700;
const SILENCE_DB = -70;

const audio = new AudioContext();
const calls = new Map();
const records = { states: [], notifications: [], errors: [], warnings: [], ready: 0, sockets: 0, closes: 0 };
/** Every frame on every socket of this page, in order: `{ from: "client" | "server", frame, at }`, `at` in ms. */
const frames = [];
let client = null;

/** The SDK's sockets, the newest last. */
const sockets = [];

/** What of a notification can leave the page. */
function plain(params) {
  return JSON.parse(
    JSON.stringify(params, (key, value) => (typeof value === "function" ? undefined : value)),
  );
}

/** JSON, save for the lines of the speed test. */
function readFrame(text) {
  return text.startsWith("#SP") ? { speedTest: text.slice(0, 4) } : JSON.parse(text);
}

/** Listens in on the SDK's socket without changing what it does. */
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.push(this);
    this.addEventListener("message", ({ data }) => {
      const frame = typeof data === "string" ? readFrame(data) : "binary";
      frames.push({ from: "server", frame, at: Date.now() });
    });
  }

  send(data) {
    frames.push({ from: "client", frame: readFrame(data), at: Date.now() });
    super.send(data);
  }
};

/** The microphone of this page: a pure tone, so that the far end can tell what it hears. */
function toneStream(frequency) {
  const destination = audio.createMediaStreamDestination();
  const oscillator = new OscillatorNode(audio, { frequency });
  const gain = new GainNode(audio, { gain: 0.5 });
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  return destination.stream;
}

navigator.mediaDevices.getUserMedia = async () => toneStream(MICROPHONE_HZ);

function newPlayer() {
  const element = new Audio();
  element.autoplay = true;
  document.documentElement.append(element);
  return element;
}

function onNotification(notification) {
  if (notification.type !== "callUpdate") {
    const { type, call, error, ...params } = notification;
    records.notifications.push({ type, callId: call?.id ?? params.callID, params: plain(params) });
    return;
  }
  const { call } = notification;
  calls.set(call.id, call);
  const { id, state, prevState, direction, cause, causeCode, sipCode, sipReason } = call;
  records.states.push({
    id,
    state,
    prevState,
    direction,
    cause,
    causeCode,
    sipCode,
    sipReason,
    at: Date.now(),
  });
}

window.phone = {
  records,

  frames: () => frames,

  /** Creates a client and connects it. */
  connect(options) {
    client = new TelnyxWebRTC.TelnyxRTC({ iceServers: [], ...options });
    client.on("telnyx.ready", () => (records.ready += 1));
    client.on("telnyx.socket.open", () => (records.sockets += 1));
    client.on("telnyx.socket.close", () => (records.closes += 1));
    client.on("telnyx.notification", onNotification);
    client.on("telnyx.error", ({ error, callId }) =>
      records.errors.push({ code: error.code, name: error.name, fatal: error.fatal, callId }),
    );
    client.on("telnyx.warning", ({ warning, callId }) =>
      records.warnings.push({ code: warning.code, callId }),
    );
    client.connect();
  },

  /** From now on this page's offers name these parameters of Opus: what an app does that wants other ones. */
  opusParameters(parameters) {
    const original = RTCPeerConnection.prototype.createOffer;
    RTCPeerConnection.prototype.createOffer = async function (...args) {
      const { type, sdp } = await original.apply(this, args);
      const [, opus] = /^a=rtpmap:(\d+) opus\//m.exec(sdp);
      return { type, sdp: sdp.replace(new RegExp(`^(a=fmtp:${opus}) .*$`, "m"), `$1 ${parameters}`) };
    };
  },

  /** The codecs of a kind that the browser can do, for `preferred_codecs`. */
  capabilities: () => RTCRtpReceiver.getCapabilities("audio").codecs,

  disconnect: () => client.disconnect(),
  speedTest: (bytes) => client.speedTest(bytes),
  networkCheck: async (options) => plain(await client.runNetworkCheck(options)),

  login: (creds) => client.login({ creds }),
  /** What the app does with a new token when it does not log in at once: the SDK takes it for its next login. */
  renewToken: (token) => void (client.options.login_token = token),

  /** Places a call; gives its id. Each call has an element of its own. */
  call(options) {
    const call = client.newCall({ remoteElement: newPlayer(), audio: true, ...options });
    calls.set(call.id, call);
    return call.id;
  },

  hangup: (id, params) => void calls.get(id).hangup(params),
  dtmf: (id, digits) => calls.get(id).dtmf(digits),
  mute: (id) => calls.get(id).muteAudio(),
  unmute: (id) => calls.get(id).unmuteAudio(),
  /** Chromium gives a far end's audio to WebAudio only while an element plays it. */
  answer(id, options) {
    const call = calls.get(id);
    call.options.remoteElement = newPlayer();
    call.answer(options);
  },
  hold: (id) => calls.get(id).hold(),
  unhold: (id) => calls.get(id).unhold(),
  toggleHold: (id) => calls.get(id).toggleHold(),
  message: (id, to, body) => calls.get(id).message(to, body),
  /** What the SDK has no method for: an app sends it on the SDK's own socket. */
  modify(id, params) {
    const frameId = crypto.randomUUID();
    const dialogParams = { callID: id };
    sockets.at(-1).send(
      JSON.stringify({
        jsonrpc: "2.0",
        id: frameId,
        method: "telnyx_rtc.modify",
        params: { ...params, dialogParams },
      }),
    );
    return frameId;
  },
  restartIce: (id) => client.triggerIceRestart(id),

  /** What the SDK's own check of the network says, by calling `destinationNumber`. */
  async preCall(destinationNumber, durationMs) {
    const report = await client.runPreCall({ destinationNumber, durationMs, iceServers: [] });
    return plain(report);
  },

  /** Ends the media of a call as a fault in the browser would: the SDK is not asked. */
  closeMedia: (id) => calls.get(id).peer.instance.close(),

  /** How many sockets this page has made. */
  socketsMade: () => sockets.length,

  /** Neither speaks nor listens any more, which takes time of the processor, until `wake`. */
  rest: () => audio.suspend(),
  wake: () => audio.resume(),

  /** Breaks the connection as a network does: the SDK is not asked. */
  cutSocket: () => sockets.at(-1).close(),

  /** What the call shows now. */
  look(id) {
    const call = calls.get(id);
    const { state, prevState, cause, causeCode, sipCode, sipReason, direction } = call;
    const headers = call.options.customHeaders ?? [];
    const { recoveredCallId, isAudioMuted: muted } = call;
    return {
      ...{ recoveredCallId, muted },
      ...{ state, prevState, cause, causeCode, sipCode, sipReason, direction, headers },
      ids: call.telnyxIDs,
      sipCallId: call.sipCallId,
      clientState: call.options.clientState,
      remoteName: call.options.remoteCallerName,
      remoteNumber: call.options.remoteCallerNumber,
    };
  },

  /** The SDP of one side of the call's peer connection. */
  sdp: (id, side) => calls.get(id).peer?.instance?.[`${side}Description`]?.sdp ?? null,

  connection(id) {
    const connection = calls.get(id).peer?.instance;
    return connection && { state: connection.connectionState, ice: connection.iceConnectionState };
  },

  /** The frequency that dominates what this page hears of a call; `null` for silence. */
  heardHz(id) {
    const call = calls.get(id);
    const stream = call.remoteStream;
    if (!stream || stream.getAudioTracks().length === 0) return null;
    if (call.heardBy?.stream !== stream) {
      const analyser = new AnalyserNode(audio, { fftSize: 8192, smoothingTimeConstant: 0 });
      audio.createMediaStreamSource(stream).connect(analyser);
      call.heardBy = { stream, analyser };
    }
    return dominantHz(call.heardBy.analyser);
  },

  /** The types of the candidates between which the call's packets travel. */
  async candidatePair(id) {
    const pair = await this.candidates(id);
    return pair && { local: pair.local.type, remote: pair.remote.type };
  },

  /** These candidates, with their addresses. */
  async candidates(id) {
    const report = await calls.get(id).peer.instance.getStats();
    const transport = [...report.values()].find((each) => each.type === "transport");
    const pair = report.get(transport?.selectedCandidatePairId);
    const candidate = (candidateId) => {
      const { candidateType: type = null, address, port } = report.get(candidateId) ?? {};
      return { type, address, port };
    };
    return pair && { local: candidate(pair.localCandidateId), remote: candidate(pair.remoteCandidateId) };
  },

  /** Counters of the call's audio. */
  async stats(id) {
    const report = await calls.get(id).peer.instance.getStats();
    const all = [...report.values()];
    const inbound = all.find((each) => each.type === "inbound-rtp" && each.kind === "audio");
    const outbound = all.find((each) => each.type === "outbound-rtp" && each.kind === "audio");
    const codec = all.find((each) => each.type === "codec" && each.id === inbound?.codecId);
    return {
      codec: codec?.mimeType ?? null,
      codecSent: report.get(outbound?.codecId)?.mimeType ?? null,
      /** Packets that carried in-band error correction for the one before. */
      correcting: inbound?.fecPacketsReceived ?? 0,
      packetsReceived: inbound?.packetsReceived ?? 0,
      packetsLost: inbound?.packetsLost ?? 0,
      packetsSent: outbound?.packetsSent ?? 0,
    };
  },
};

function dominantHz(analyser) {
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  let best = 0;
  bins.forEach((db, bin) => {
    if (db > bins[best]) best = bin;
  });
  if (bins[best] < SILENCE_DB) return null;
  return (best * audio.sampleRate) / analyser.fftSize;
}
