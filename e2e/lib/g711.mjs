// G.711 (ITU-T G.711) in its plain form, for the test carrier: written for clarity, not speed.

const MU_BIAS = 0x84;
const MU_CLIP = 32_635;

function muEncode(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(sample), MU_CLIP) + MU_BIAS;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}

function muDecode(byte) {
  const value = ~byte & 0xff;
  const magnitude = ((((value & 0x0f) << 3) + MU_BIAS) << ((value >> 4) & 7)) - MU_BIAS;
  return value & 0x80 ? 0 - magnitude : magnitude;
}

function aEncode(sample) {
  const positive = sample >= 0;
  const magnitude = Math.min(positive ? sample : -sample - 1, 32_767) >> 4;
  const exponent = magnitude < 16 ? 0 : Math.floor(Math.log2(magnitude)) - 3;
  const mantissa = exponent === 0 ? (magnitude >> 0) & 0x0f : (magnitude >> (exponent - 1)) & 0x0f;
  return ((positive ? 0x80 : 0) | (exponent << 4) | mantissa) ^ 0x55;
}

function aDecode(byte) {
  const value = byte ^ 0x55;
  const exponent = (value >> 4) & 7;
  const base = ((value & 0x0f) << 4) + 8;
  const magnitude = exponent === 0 ? base : (base + 0x100) << (exponent - 1);
  return value & 0x80 ? magnitude : -magnitude;
}

/** Static payload type, encoder and decoder by codec name. Samples are 16 bit at 8 kHz. */
export const G711 = {
  PCMU: {
    payloadType: 0,
    encode: (samples) => Buffer.from(samples.map(muEncode)),
    decode: (payload) => Array.from(payload, muDecode),
  },
  PCMA: {
    payloadType: 8,
    encode: (samples) => Buffer.from(samples.map(aEncode)),
    decode: (payload) => Array.from(payload, aDecode),
  },
};
