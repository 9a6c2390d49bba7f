//! What Opus keeps of telephone audio, by complexity and bit rate: the table of the decision on its complexity.
//!
//! `cargo run --release -p offhook-audio --example opus_quality [seconds]`

#![expect(clippy::print_stdout, reason = "a command-line tool")]

mod speech;

use offhook_audio::PAYLOAD_LEN_MAX;
use offhook_audio::{AudioCodec, AudioDecoder, AudioEncoder, AudioError, FRAME_SAMPLES, OpusEncoderConfig};
use speech::Speech;
use std::f64::consts::TAU;

const COMPLEXITIES: [u8; 4] = [1, 2, 5, 10];
const BITRATES_BPS: [u32; 3] = [16_000, 24_000, 28_000];
/// Tones whose level is looked at.
const TONES_HZ: [u32; 6] = [300, 440, 1_000, 1_750, 2_500, 3_000];
/// Longest delay of encoder and decoder that is looked for, in samples.
const DELAY_MAX: usize = 160;
/// Frames with less power than this (mean square) are pauses, where a ratio says nothing.
const PAUSE: f64 = 10_000.0;
/// A frame counts for no more and no less, in dB: what is usual for segmental ratios.
const RATIO_DB: std::ops::RangeInclusive<f64> = -10.0..=35.0;

fn main() -> Result<(), AudioError> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let mut voice = Speech::default();
    let frames = seconds.unwrap_or(60) * 50;
    let speech: Vec<i16> = (0..frames).flat_map(|_| voice.next_frame()).collect();
    println!(
        "segmental signal-to-noise ratio of {} s of made-up speech, in dB",
        frames / 50
    );
    header();
    for complexity in COMPLEXITIES {
        let ratio = |bitrate_bps| {
            let heard = through_opus(&speech, complexity, bitrate_bps)?;
            Ok(segmental_ratio_db(&speech, &heard))
        };
        row(complexity, BITRATES_BPS.map(ratio))?;
    }
    println!("\nlargest change of level of tones of {TONES_HZ:?} Hz, in dB");
    header();
    for complexity in COMPLEXITIES {
        row(
            complexity,
            BITRATES_BPS.map(|bitrate_bps| tone_change_db(complexity, bitrate_bps)),
        )?;
    }
    Ok(())
}

fn header() {
    let rates = BITRATES_BPS.map(|bitrate| format!("{} kbit/s", bitrate / 1_000));
    println!("| complexity | {} |\n|---|---|---|---|", rates.join(" | "));
}

fn row(complexity: u8, cells: [Result<f64, AudioError>; 3]) -> Result<(), AudioError> {
    let cells: Result<Vec<f64>, AudioError> = cells.into_iter().collect();
    let cells: Vec<String> = cells?.into_iter().map(|cell| format!("{cell:.1}")).collect();
    println!("| {complexity} | {} |", cells.join(" | "));
    Ok(())
}

/// What comes out of encoder and decoder.
fn through_opus(samples: &[i16], complexity: u8, bitrate_bps: u32) -> Result<Vec<i16>, AudioError> {
    let config = OpusEncoderConfig {
        complexity,
        bitrate_bps,
        ..OpusEncoderConfig::default()
    };
    let mut encoder = AudioEncoder::new(AudioCodec::Opus, &config)?;
    let mut decoder = AudioDecoder::new(AudioCodec::Opus)?;
    let (mut payload, mut pcm) = ([0; PAYLOAD_LEN_MAX], [0; FRAME_SAMPLES]);
    let mut heard = Vec::with_capacity(samples.len());
    for frame in samples.chunks_exact(FRAME_SAMPLES) {
        let len = encoder.encode(frame, &mut payload)?;
        let count = decoder.decode(&payload[..len], &mut pcm)?;
        heard.extend_from_slice(&pcm[..count]);
    }
    Ok(heard)
}

/// Mean over all frames that are no pauses, at the delay at which it is best.
fn segmental_ratio_db(said: &[i16], heard: &[i16]) -> f64 {
    let at_delay = |delay: usize| {
        let pairs = said
            .chunks_exact(FRAME_SAMPLES)
            .zip(heard[delay..].chunks_exact(FRAME_SAMPLES));
        let ratios: Vec<f64> = pairs.filter_map(|(said, heard)| ratio_db(said, heard)).collect();
        ratios.iter().sum::<f64>() / ratios.len() as f64
    };
    (0..DELAY_MAX).map(at_delay).fold(f64::MIN, f64::max)
}

fn ratio_db(said: &[i16], heard: &[i16]) -> Option<f64> {
    let noise: Vec<f64> = said
        .iter()
        .zip(heard)
        .map(|(said, heard)| f64::from(*said) - f64::from(*heard))
        .collect();
    let signal = power(said.iter().map(|sample| f64::from(*sample)));
    let noise = power(noise.into_iter()).max(1.0);
    (signal > PAUSE).then(|| (10.0 * (signal / noise).log10()).clamp(*RATIO_DB.start(), *RATIO_DB.end()))
}

/// The tone that suffers most.
fn tone_change_db(complexity: u8, bitrate_bps: u32) -> Result<f64, AudioError> {
    let mut worst = 0.0_f64;
    for tone_hz in TONES_HZ {
        let step = f64::from(tone_hz) / 8_000.0 * TAU;
        let tone: Vec<i16> = (0..8_000 * 4)
            .map(|at| (8_000.0 * (f64::from(at) * step).sin()) as i16)
            .collect();
        let heard = through_opus(&tone, complexity, bitrate_bps)?;
        // The second half: by then the encoder knows the tone.
        let change = level(&heard[heard.len() / 2..], step) / level(&tone[tone.len() / 2..], step);
        let change_db = 20.0 * change.log10();
        worst = if change_db.abs() > worst.abs() {
            change_db
        } else {
            worst
        };
    }
    Ok(worst)
}

/// Strength of one frequency (Goertzel's sum, written out).
fn level(samples: &[i16], step: f64) -> f64 {
    let sum = |wave: fn(f64) -> f64| -> f64 {
        let terms = samples
            .iter()
            .enumerate()
            .map(|(at, sample)| f64::from(*sample) * wave(at as f64 * step));
        terms.sum::<f64>() / samples.len() as f64
    };
    sum(f64::sin).hypot(sum(f64::cos))
}

fn power(samples: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = samples.len() as f64;
    samples.map(|sample| sample * sample).sum::<f64>() / count
}
