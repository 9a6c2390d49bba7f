//! Reads WAV files as announcements come: one channel, 8 kHz, 16 bit PCM or G.711.

use crate::SAMPLE_RATE_HZ;
use crate::g711::{self, Law};

/// `wFormatTag`: linear PCM.
const PCM: u16 = 1;
/// G.711 A-law.
const A_LAW: u16 = 6;
/// G.711 µ-law.
const MU_LAW: u16 = 7;
/// The real tag stands in the first two bytes of the sub-format.
const EXTENSIBLE: u16 = 0xFFFE;
/// Where the sub-format begins in the `fmt ` chunk.
const SUB_FORMAT_AT: usize = 24;

/// Why a file cannot be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// No RIFF file of type WAVE.
    #[error("not a WAV file")]
    NotWav,
    /// It ends within a chunk, or a chunk is missing.
    #[error("the WAV file is cut short: no complete {0:?} chunk")]
    Truncated(&'static str),
    /// It is read, but does not fit the telephone.
    #[error(
        "WAV format {tag} with {channels} channel(s), {rate_hz} Hz, {bits} bit cannot be played; convert it to one channel, \
         8000 Hz, 16 bit PCM, for example with `sox in.wav -c 1 -r 8000 -b 16 out.wav`"
    )]
    Format {
        /// `wFormatTag`.
        tag: u16,
        /// Channels.
        channels: u16,
        /// Samples per second.
        rate_hz: u32,
        /// Bits per sample.
        bits: u16,
    },
    /// It has no samples.
    #[error("the WAV file holds no audio")]
    Empty,
}

/// The samples of a WAV file.
///
/// # Errors
/// [`WavError`]: what is wrong, and how to mend it.
pub fn read_wav(file: &[u8]) -> Result<Vec<i16>, WavError> {
    let chunks = file
        .strip_prefix(b"RIFF")
        .and_then(|rest| rest.get(4..))
        .and_then(|rest| rest.strip_prefix(b"WAVE"))
        .ok_or(WavError::NotWav)?;
    let format = chunk(chunks, b"fmt ").ok_or(WavError::Truncated("fmt "))?;
    let data = chunk(chunks, b"data").ok_or(WavError::Truncated("data"))?;
    let samples: Vec<i16> = match encoding(format)? {
        Encoding::Linear => data
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect(),
        Encoding::G711(law) => data.iter().map(|octet| g711::to_linear(law, *octet)).collect(),
    };
    match samples.is_empty() {
        true => Err(WavError::Empty),
        false => Ok(samples),
    }
}

enum Encoding {
    Linear,
    G711(Law),
}

fn encoding(format: &[u8]) -> Result<Encoding, WavError> {
    let short = WavError::Truncated("fmt ");
    let u16_at = |at: usize| {
        let bytes = format.get(at..at + 2).ok_or(short)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let (channels, bits) = (u16_at(2)?, u16_at(14)?);
    let rate_hz = u32::from(u16_at(4)?) | u32::from(u16_at(6)?) << 16;
    let tag = match u16_at(0)? {
        EXTENSIBLE => u16_at(SUB_FORMAT_AT)?,
        tag => tag,
    };
    match (tag, channels, rate_hz, bits) {
        (PCM, 1, SAMPLE_RATE_HZ, 16) => Ok(Encoding::Linear),
        (A_LAW, 1, SAMPLE_RATE_HZ, 8) => Ok(Encoding::G711(Law::A)),
        (MU_LAW, 1, SAMPLE_RATE_HZ, 8) => Ok(Encoding::G711(Law::Mu)),
        _ => Err(WavError::Format {
            tag,
            channels,
            rate_hz,
            bits,
        }),
    }
}

/// The body of the first chunk of this name. Programs that write to a pipe leave the length of `data` at its most: the file
/// then ends where it ends.
fn chunk<'a>(mut rest: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (len, body) = after.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        if name == wanted {
            let streamed = len >= u32::MAX as usize - 64;
            return body.get(..len).or(streamed.then_some(body));
        }
        // Chunks begin at even places.
        rest = body.get(len.checked_next_multiple_of(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wav(tag: u16, channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut format = Vec::new();
        format.extend(tag.to_le_bytes());
        format.extend(channels.to_le_bytes());
        format.extend(rate_hz.to_le_bytes());
        format.extend([0; 6]);
        format.extend(bits.to_le_bytes());
        if tag == EXTENSIBLE {
            format.extend([22, 0, bits as u8, 0, 4, 0, 0, 0, 1, 0]);
            format.extend([0; 14]);
        }
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, body) in [(b"LIST", &b"odd"[..]), (b"fmt ", &format), (b"data", data)] {
            file.extend(name);
            file.extend((body.len() as u32).to_le_bytes());
            file.extend(body);
            file.extend(vec![0; body.len() % 2]);
        }
        file
    }

    #[test]
    fn the_forms_of_the_telephone_are_read() {
        assert_eq!(
            read_wav(&wav(PCM, 1, 8_000, 16, &[1, 0, 0xFE, 0xFF])),
            Ok(vec![1, -2])
        );
        assert_eq!(read_wav(&wav(EXTENSIBLE, 1, 8_000, 16, &[1, 0])), Ok(vec![1]));
        for (tag, law) in [(A_LAW, Law::A), (MU_LAW, Law::Mu)] {
            let octet = g711::from_linear(law, 1_000);
            let read = read_wav(&wav(tag, 1, 8_000, 8, &[octet]));
            assert_eq!(read, Ok(vec![g711::to_linear(law, octet)]));
        }
    }

    #[test]
    fn a_file_that_was_written_to_a_pipe_ends_where_it_ends() {
        let mut file = wav(PCM, 1, 8_000, 16, &[1, 0, 2, 0]);
        let at = file.len() - 8;
        file[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read_wav(&file), Ok(vec![1, 2]));
    }

    #[test]
    fn what_cannot_be_played_is_said_precisely() {
        let format = |tag, channels, rate_hz, bits| {
            let result = read_wav(&wav(tag, channels, rate_hz, bits, &[0, 0]));
            assert_eq!(
                result,
                Err(WavError::Format {
                    tag,
                    channels,
                    rate_hz,
                    bits
                })
            );
        };
        format(PCM, 2, 8_000, 16);
        format(PCM, 1, 44_100, 16);
        format(PCM, 1, 8_000, 8);
        format(3, 1, 8_000, 32);
        assert_eq!(read_wav(b""), Err(WavError::NotWav));
        assert_eq!(read_wav(b"RIFF\0\0\0\0WAVE"), Err(WavError::Truncated("fmt ")));
        let whole = wav(PCM, 1, 8_000, 16, &[0, 0]);
        assert_eq!(
            read_wav(&whole[..whole.len() - 1]),
            Err(WavError::Truncated("data"))
        );
        assert_eq!(read_wav(&wav(PCM, 1, 8_000, 16, &[])), Err(WavError::Empty));
    }

    proptest! {
        #[test]
        fn no_file_panics(start in 0_usize..60, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut file = wav(PCM, 1, 8_000, 16, &[0; 8]);
            file.truncate(start);
            file.extend(bytes);
            let _ = read_wav(&file);
        }
    }
}
