//! G.711: µ-law and A-law, to and from 16 bit samples, and to each other.
//!
//! Samples are the standard's uniform values shifted to the top of 16 bits. Compressing follows the software tools of
//! ITU-T G.191: a value that lies on a decision level goes up, negative values are mirrored as their one's complement.

/// The two compression laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law: PCMU.
    Mu,
    /// A-law: PCMA.
    A,
}

/// Flipped in every A-law octet on the line (G.711 §3.3: even bits inverted).
const A_LAW_MASK: u8 = 0x55;
/// Added to a µ-law magnitude of 14 bits so that each segment starts at a power of two.
const MU_LAW_BIAS: u16 = 33;
/// Greatest biased magnitude.
const MU_LAW_MAX: u16 = 0x1FFF;

static MU_TO_LINEAR: [i16; 256] = linear_table(Law::Mu);
static A_TO_LINEAR: [i16; 256] = linear_table(Law::A);
static MU_TO_A: [u8; 256] = conversion_table(Law::Mu, Law::A);
static A_TO_MU: [u8; 256] = conversion_table(Law::A, Law::Mu);

/// One octet to its sample.
pub fn to_linear(law: Law, octet: u8) -> i16 {
    table_of(law)[usize::from(octet)]
}

/// One sample to its octet.
pub fn from_linear(law: Law, sample: i16) -> u8 {
    compress(law, sample)
}

/// Decodes as many octets as both slices hold; gives their number.
pub fn decode(law: Law, payload: &[u8], samples: &mut [i16]) -> usize {
    let table = table_of(law);
    for (sample, octet) in samples.iter_mut().zip(payload) {
        *sample = table[usize::from(*octet)];
    }
    samples.len().min(payload.len())
}

/// Encodes as many samples as both slices hold; gives their number.
pub fn encode(law: Law, samples: &[i16], payload: &mut [u8]) -> usize {
    for (octet, sample) in payload.iter_mut().zip(samples) {
        *octet = compress(law, *sample);
    }
    samples.len().min(payload.len())
}

/// Turns a payload of one law into the other one, in place, by the tables of G.711 §4. No state, no delay: packets
/// keep their sequence numbers and timestamps.
pub fn convert(from: Law, to: Law, payload: &mut [u8]) {
    let table = match (from, to) {
        (Law::Mu, Law::A) => &MU_TO_A,
        (Law::A, Law::Mu) => &A_TO_MU,
        (Law::Mu, Law::Mu) | (Law::A, Law::A) => return,
    };
    for octet in payload {
        *octet = table[usize::from(*octet)];
    }
}

/// The octet of silence, for filling.
pub fn silence(law: Law) -> u8 {
    from_linear(law, 0)
}

fn table_of(law: Law) -> &'static [i16; 256] {
    match law {
        Law::Mu => &MU_TO_LINEAR,
        Law::A => &A_TO_LINEAR,
    }
}

const fn compress(law: Law, sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = if negative { !sample } else { sample } as u16;
    let sign = if negative { 0 } else { 0x80 };
    match law {
        Law::Mu => {
            let biased = (magnitude >> 2) + MU_LAW_BIAS;
            let biased = if biased > MU_LAW_MAX { MU_LAW_MAX } else { biased };
            // The bias makes bit 5 or a higher one the leading one; it names the segment, the four below it the step.
            let segment = 10 - biased.leading_zeros() as u16;
            let step = (biased >> (segment + 1)) & 0x0F;
            // µ-law octets are sent inverted.
            sign | (!((segment << 4) | step) & 0x7F) as u8
        }
        Law::A => {
            let level = magnitude >> 4;
            let code = if level < 32 {
                // The first two segments have the same step.
                level
            } else {
                let segment = 12 - level.leading_zeros() as u16;
                (segment << 4) | ((level >> (segment - 1)) & 0x0F)
            };
            (sign | code as u8) ^ A_LAW_MASK
        }
    }
}

const fn expand(law: Law, octet: u8) -> i16 {
    match law {
        Law::Mu => {
            let code = !octet;
            let (segment, step) = ((code >> 4) & 0x07, (code & 0x0F) as i16);
            let magnitude = ((((step << 1) + MU_LAW_BIAS as i16) << segment) - MU_LAW_BIAS as i16) << 2;
            if octet & 0x80 == 0 { -magnitude } else { magnitude }
        }
        Law::A => {
            let code = octet ^ A_LAW_MASK;
            let (segment, step) = ((code >> 4) & 0x07, (code & 0x0F) as i16);
            let middle = (step << 4) + 8;
            let magnitude = if segment == 0 {
                middle
            } else {
                (middle + 0x100) << (segment - 1)
            };
            if code & 0x80 == 0 { -magnitude } else { magnitude }
        }
    }
}

const fn linear_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = expand(law, octet as u8);
        octet += 1;
    }
    table
}

/// The tables of G.711 §4 put the two laws on one scale by their overload points: 3.17 dBm0 at 8159 units of µ-law, 3.14
/// dBm0 at 4096 of A-law. In our 16 bit samples A-law is then this much larger, in 1/10,000.
const A_OVER_MU: i32 = 10_075;

const fn conversion_table(from: Law, to: Law) -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        // They know magnitudes only: what lies between two levels goes the same way with either sign.
        let sign = octet as u8 & 0x80;
        let sample = expand(from, octet as u8 | 0x80) as i32;
        let scaled = match to {
            Law::A => sample * A_OVER_MU / 10_000,
            Law::Mu => sample * 10_000 / A_OVER_MU,
        };
        let clipped = if scaled > i16::MAX as i32 {
            i16::MAX
        } else {
            scaled as i16
        };
        table[octet] = (compress(to, clipped) & 0x7F) | sign;
        octet += 1;
    }
    table
}
