// What an Opus packet says of itself (RFC 6716 §3.1, §4.2.3), without decoding it.

/** Audio bandwidths by configuration number, in the order of the table: SILK, hybrid, CELT. */
const BANDS = [
  ...["narrow", "medium", "wide"].flatMap((band) => new Array(4).fill(band)),
  ...["super-wide", "full"].flatMap((band) => new Array(2).fill(band)),
  ...["narrow", "wide", "super-wide", "full"].flatMap((band) => new Array(4).fill(band)),
];
const SILK_LAST = 11;
const MS_20 = 1;

/** Band, channels, and whether a frame of 20 ms repeats the one before (in-band error correction). */
export function readOpus(payload) {
  const configuration = payload[0] >> 3;
  const stereo = (payload[0] & 4) !== 0;
  const isSingleSilk = configuration <= SILK_LAST && configuration % 4 === MS_20 && (payload[0] & 3) === 0;
  // One flag for voice, one for the repetition; a stereo packet has the same for each channel.
  const corrects = isSingleSilk && payload.length > 1 && (payload[1] & 0x40) !== 0;
  return { band: BANDS[configuration], stereo, corrects };
}
