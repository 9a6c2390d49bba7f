//! Finds DTMF digits and frequencies in audio: for digit read-back where a carrier sends tones, and for tests.

use crate::SAMPLE_RATE_HZ;

/// The low group, Hz (ITU-T Q.23).
const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// The high group, Hz.
const HIGH_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const DIGITS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];
/// Samples that are looked at together: 12.75 ms, which tells neighbouring frequencies of a group apart.
const BLOCK_SAMPLES: usize = 102;
/// Blocks that must agree before a digit counts: 38 ms, under the 40 ms that every receiver must accept (Q.24).
const BLOCKS_MIN: u8 = 3;
/// A pair must hold this part of all the energy of its block.
const PAIR_SHARE_MIN: f64 = 0.70;
/// The groups may differ by this factor in energy (8 dB).
const TWIST_MAX: f64 = 6.3;
/// Mean square under which a block is silence (about -45 dBov).
const ENERGY_MIN: f64 = 34_000.0;

/// The two frequencies of a digit in Hz; none if it is not `0-9 * # A-D` (`a-d` too).
pub fn frequencies_of(digit: char) -> Option<(f32, f32)> {
    let digit = digit.to_ascii_uppercase();
    let row = DIGITS.iter().position(|row| row.contains(&digit))?;
    let column = DIGITS[row].iter().position(|candidate| *candidate == digit)?;
    Some((LOW_HZ[row], HIGH_HZ[column]))
}

/// Finds digits in 8 kHz audio; plain state.
#[derive(Debug, Clone, PartialEq)]
pub struct DtmfDetector {
    block: [i16; BLOCK_SAMPLES],
    filled: usize,
    candidate: Option<char>,
    blocks: u8,
}

impl Default for DtmfDetector {
    fn default() -> Self {
        Self {
            block: [0; BLOCK_SAMPLES],
            filled: 0,
            candidate: None,
            blocks: 0,
        }
    }
}

impl DtmfDetector {
    /// Takes samples; calls `found` once for each press of a digit.
    pub fn push(&mut self, samples: &[i16], mut found: impl FnMut(char)) {
        for sample in samples {
            self.block[self.filled] = *sample;
            self.filled += 1;
            if self.filled == BLOCK_SAMPLES {
                self.filled = 0;
                if let Some(digit) = self.next_block() {
                    found(digit);
                }
            }
        }
    }

    fn next_block(&mut self) -> Option<char> {
        let digit = digit_in(&self.block);
        if digit != self.candidate {
            self.candidate = digit;
            self.blocks = 0;
        }
        self.blocks = self.blocks.saturating_add(1);
        digit.filter(|_| self.blocks == BLOCKS_MIN)
    }
}

/// Mean square of the part of `samples` at one frequency (Goertzel's filter).
pub fn power_at(samples: &[i16], frequency_hz: f32, rate_hz: u32) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let coefficient = 2.0 * (std::f64::consts::TAU * f64::from(frequency_hz) / f64::from(rate_hz)).cos();
    let (mut previous, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * previous - before;
        before = previous;
        previous = next;
    }
    let power = previous * previous + before * before - coefficient * previous * before;
    // A sine of amplitude a gives (a·n/2)²; its mean square is a²/2.
    let n = samples.len() as f64;
    (2.0 * power / (n * n)).max(0.0)
}

/// The strongest frequency between 100 Hz and 95 % of half the rate, in Hz, to about 1 Hz for 200 ms of audio; none
/// for silence, or less than 20 ms of it. Of long audio it looks at 400 ms in the middle: its work grows with the square.
pub fn dominant_frequency(samples: &[i16], rate_hz: u32) -> Option<f32> {
    let spare = samples.len().saturating_sub(rate_hz as usize * 2 / 5);
    let samples = &samples[spare / 2..samples.len() - spare.div_ceil(2)];
    if samples.len() < rate_hz as usize / 50 || mean_square(samples) < 1.0 {
        return None;
    }
    // The main lobe is two bins wide: steps of half a bin cannot miss it.
    let bin_hz = rate_hz as f32 / samples.len() as f32;
    let top_hz = rate_hz as f32 * 0.475;
    let strongest = |from: f32, to: f32, step: f32| {
        let count = ((to - from) / step) as usize;
        let frequencies = (0..=count).map(|index| from + index as f32 * step);
        frequencies
            .map(|frequency| (frequency, power_at(samples, frequency, rate_hz)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(frequency, _)| frequency)
    };
    let mut best = strongest(100.0, top_hz, bin_hz / 2.0)?;
    let mut step = bin_hz / 2.0;
    while step > 0.25 {
        best = strongest(best - step, best + step, step / 4.0)?;
        step /= 4.0;
    }
    Some(best)
}

fn mean_square(samples: &[i16]) -> f64 {
    samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum::<f64>()
        / samples.len() as f64
}

fn digit_in(block: &[i16]) -> Option<char> {
    let total = mean_square(block);
    if total < ENERGY_MIN {
        return None;
    }
    let (row, low) = strongest_of(&LOW_HZ, block);
    let (column, high) = strongest_of(&HIGH_HZ, block);
    let balanced = low < high * TWIST_MAX && high < low * TWIST_MAX;
    (balanced && low + high > total * PAIR_SHARE_MIN).then(|| DIGITS[row][column])
}

fn strongest_of(group: &[f32; 4], block: &[i16]) -> (usize, f64) {
    let powers = group.map(|frequency| power_at(block, frequency, SAMPLE_RATE_HZ));
    powers
        .into_iter()
        .enumerate()
        .fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best })
}
