/** What the page measures and plays by itself: levels, the ringing of an incoming call, key tones. */

let context: AudioContext | null = null;

/** One for the page. Browsers let it run only after a click or a key. */
function audio(): AudioContext {
  context ??= new AudioContext();
  if (context.state === "suspended") void context.resume();
  return context;
}

/** Quieter than this counts as silence. */
const FLOOR_DB = -60;

/** Measures one stream's loudness. */
export class LevelProbe {
  readonly #source: MediaStreamAudioSourceNode;
  readonly #analyser: AnalyserNode;
  readonly #samples: Float32Array<ArrayBuffer>;

  constructor(stream: MediaStream) {
    this.#source = audio().createMediaStreamSource(stream);
    this.#analyser = audio().createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source.connect(this.#analyser);
  }

  /** From 0 (silence) to 1 (as loud as can be), even to the ear. */
  level(): number {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    const db = 10 * Math.log10(power + 1e-12);
    return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
  }

  close(): void {
    this.#source.disconnect();
  }
}

/** Rings until stopped: two soft tones for a second, two seconds of rest. */
export function startRinging(): () => void {
  const gain = audio().createGain();
  gain.gain.value = 0;
  gain.connect(audio().destination);
  const tones = [440, 480].map((frequency) => {
    const tone = new OscillatorNode(audio(), { frequency });
    tone.connect(gain);
    tone.start();
    return tone;
  });
  const ring = (): void => {
    const now = audio().currentTime;
    gain.gain.setTargetAtTime(0.06, now, 0.02);
    gain.gain.setTargetAtTime(0, now + 1, 0.05);
  };
  ring();
  const timer = setInterval(ring, 3_000);
  return () => {
    clearInterval(timer);
    for (const tone of tones) tone.stop();
    gain.disconnect();
  };
}

const ROWS_HZ = [697, 770, 852, 941] as const;
const COLUMNS_HZ = [1209, 1336, 1477] as const;
const KEYS = "123456789*0#";

/** The sound of a pressed key, so that the finger knows. */
export function playKey(key: string): void {
  const place = KEYS.indexOf(key);
  if (place < 0) return;
  const frequencies = [ROWS_HZ[Math.floor(place / 3)] ?? 697, COLUMNS_HZ[place % 3] ?? 1209];
  const now = audio().currentTime;
  const gain = new GainNode(audio(), { gain: 0.05 });
  gain.connect(audio().destination);
  gain.gain.setTargetAtTime(0, now + 0.09, 0.015);
  for (const frequency of frequencies) {
    const tone = new OscillatorNode(audio(), { frequency });
    tone.connect(gain);
    tone.start(now);
    tone.stop(now + 0.2);
  }
}
