// Tones: made and recognised.

/** `count` 16-bit samples of a sine, beginning at sample `from`. */
export function sine(frequencyHz, sampleRateHz, count, from = 0, amplitude = 8_000) {
  return Array.from({ length: count }, (_, i) =>
    Math.round(amplitude * Math.sin((2 * Math.PI * frequencyHz * (from + i)) / sampleRateHz)),
  );
}

/** A WAV file of `seconds` of a sine: one channel, 8 kHz, 16 bit. */
export function wav(frequencyHz, seconds) {
  const samples = sine(frequencyHz, 8_000, 8_000 * seconds);
  const file = Buffer.alloc(44 + 2 * samples.length);
  file.write("RIFF", 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write("WAVEfmt ", 8);
  for (const [at, value] of [
    [20, 1],
    [22, 1],
    [32, 2],
    [34, 16],
  ])
    file.writeUInt16LE(value, at);
  for (const [at, value] of [
    [16, 16],
    [24, 8_000],
    [28, 16_000],
    [40, 2 * samples.length],
  ])
    file.writeUInt32LE(value, at);
  file.write("data", 36);
  samples.forEach((sample, index) => file.writeInt16LE(sample, 44 + 2 * index));
  return file;
}

/** Share of the samples' power at one frequency, by Goertzel's method: near 1 for a pure tone. */
export function shareAt(samples, frequencyHz, sampleRateHz) {
  const factor = 2 * Math.cos((2 * Math.PI * frequencyHz) / sampleRateHz);
  let [s1, s2, power] = [0, 0, 0];
  for (const sample of samples) {
    [s1, s2] = [sample + factor * s1 - s2, s1];
    power += sample * sample;
  }
  if (power === 0) return 0;
  return (2 * (s1 * s1 + s2 * s2 - factor * s1 * s2)) / (samples.length * power);
}

const LOWEST_HZ = 200;
const HIGHEST_HZ = 3_400;
const STEP_HZ = 5;
/** Quieter than this (root mean square of 16-bit samples) is silence. */
const SILENCE_RMS = 60;
const PURE_SHARE = 0.5;

/** The frequency that dominates, in Hz; `null` for silence and for anything that is not a tone. */
export function dominantHz(samples, sampleRateHz) {
  const rms = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / Math.max(samples.length, 1));
  if (rms < SILENCE_RMS) return null;
  let best = { hz: 0, share: 0 };
  for (let hz = LOWEST_HZ; hz <= HIGHEST_HZ; hz += STEP_HZ) {
    const share = shareAt(samples, hz, sampleRateHz);
    if (share > best.share) best = { hz, share };
  }
  return best.share >= PURE_SHARE ? best.hz : null;
}
