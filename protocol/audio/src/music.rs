//! Music for those who wait: a short, quiet piece of our own that ends where it begins, made from sines.

use crate::SAMPLE_RATE_HZ;
use crate::level;

/// Length of a beat in samples: 75 to the minute.
const BEAT: usize = 6_400;
/// Beats of a bar.
const BAR_BEATS: usize = 4;
/// Length of the piece in samples: 25.6 s, a whole number of 20 ms frames.
pub const MUSIC_SAMPLES: usize = BEAT * BAR_BEATS * BARS.len();
/// Mean level; speech on the telephone is about as loud.
const LEVEL_DBOV: f32 = -25.0;
/// Longest that a note is heard, in samples: it has died away by then.
const NOTE_SAMPLES: usize = 3 * SAMPLE_RATE_HZ as usize;
/// A struck string is not there at once, and so does not click.
const ATTACK_S: f32 = 0.012;

/// One bar: its bass, and the chord that is played note by note above it. MIDI numbers, 69 is 440 Hz.
struct Bar {
    bass: u8,
    chord: [u8; 4],
}

const BARS: [Bar; 8] = [
    bar(48, [60, 64, 67, 71]),
    bar(45, [57, 60, 64, 67]),
    bar(50, [57, 60, 62, 65]),
    bar(55, [59, 62, 64, 67]),
    bar(52, [59, 62, 64, 67]),
    bar(57, [60, 64, 67, 69]),
    bar(53, [57, 60, 64, 65]),
    bar(55, [60, 62, 65, 67]),
];
/// Which note of the chord each eighth of a bar has.
const FIGURE: [usize; 8] = [0, 2, 1, 3, 2, 1, 3, 2];
/// The tune: eighths from the start of the piece, and the note.
const TUNE: [(usize, u8); 15] = [
    (0, 76),
    (5, 74),
    (8, 72),
    (14, 71),
    (16, 69),
    (20, 72),
    (24, 74),
    (32, 79),
    (37, 76),
    (40, 76),
    (46, 74),
    (48, 72),
    (52, 69),
    (56, 71),
    (60, 74),
];
/// Overtones of a note: how many times its frequency, how strong, and how fast they die away (seconds to 1/e).
const PARTIALS: [(f32, f32, f32); 3] = [(1.0, 1.0, 0.9), (2.0, 0.35, 0.45), (3.0, 0.12, 0.25)];

const fn bar(bass: u8, chord: [u8; 4]) -> Bar {
    Bar { bass, chord }
}

/// The piece, [`MUSIC_SAMPLES`] long. Its end runs into its beginning, so that it can be played over and over.
pub fn hold_music() -> Vec<i16> {
    let mut mix = vec![0.0_f32; MUSIC_SAMPLES];
    let eighth = BEAT / 2;
    for (index, bar) in BARS.iter().enumerate() {
        let start = index * BAR_BEATS * BEAT;
        strike(&mut mix, start, bar.bass, 0.8);
        strike(&mut mix, start + 2 * BEAT, bar.bass, 0.5);
        for (place, note) in FIGURE.iter().enumerate() {
            strike(&mut mix, start + place * eighth, bar.chord[*note], 0.45);
        }
    }
    for (place, note) in TUNE {
        strike(&mut mix, place * eighth, note, 0.7);
    }
    scaled(&mix)
}

/// Adds a note; what sounds on beyond the end is heard at the beginning.
fn strike(mix: &mut [f32], start: usize, note: u8, strength: f32) {
    let rate = SAMPLE_RATE_HZ as f32;
    let frequency = 440.0 * ((f32::from(note) - 69.0) / 12.0).exp2();
    let len = mix.len();
    for sample in 0..NOTE_SAMPLES.min(len) {
        let time = sample as f32 / rate;
        let attack = (time / ATTACK_S).min(1.0);
        let sum: f32 = PARTIALS
            .iter()
            .map(|(multiple, weight, decay)| {
                weight * (-time / decay).exp() * (std::f32::consts::TAU * frequency * multiple * time).sin()
            })
            .sum();
        mix[(start + sample) % len] += strength * attack * sum;
    }
}

/// The mix at its level; the few peaks beyond the range of samples are cut off.
fn scaled(mix: &[f32]) -> Vec<i16> {
    let power = mix.iter().map(|sample| sample * sample).sum::<f32>() / mix.len() as f32;
    let wanted = level::sine_amplitude(LEVEL_DBOV) / std::f32::consts::SQRT_2;
    let factor = wanted / power.sqrt().max(f32::MIN_POSITIVE);
    mix.iter().map(|sample| (sample * factor) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_SAMPLES;
    use crate::dtmf::dominant_frequency;

    #[test]
    fn it_is_as_loud_as_speech_and_never_silent_nor_clipped() {
        let music = hold_music();
        assert_eq!((music.len(), music.len() % FRAME_SAMPLES), (MUSIC_SAMPLES, 0));
        let mean = level::dbov(&music);
        assert!((mean - LEVEL_DBOV).abs() < 1.0, "{mean}");
        for second in music.chunks(SAMPLE_RATE_HZ as usize) {
            assert!(level::dbov(second) > -40.0);
        }
        assert!(music.iter().all(|sample| sample.unsigned_abs() < 16_000));
    }

    #[test]
    fn its_end_runs_into_its_beginning() {
        let music = hold_music();
        let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
        let largest = music.windows(2).map(|pair| step(pair[0], pair[1])).max();
        let seam = step(music[MUSIC_SAMPLES - 1], music[0]);
        assert!(Some(seam) <= largest);
        let around: Vec<i16> = music[MUSIC_SAMPLES - 800..]
            .iter()
            .chain(&music[..800])
            .copied()
            .collect();
        assert!(
            level::dbov(&around[..800]) > -50.0,
            "notes still sound at the end"
        );
    }

    #[test]
    fn it_plays_what_is_written() {
        let music = hold_music();
        // The last bar's tune note, D5, is the loudest of what sounds late in that bar.
        let start = 60 * BEAT / 2;
        let heard = dominant_frequency(&music[start..start + 2_000], SAMPLE_RATE_HZ).unwrap();
        assert!((heard - 587.3).abs() < 15.0, "{heard}");
    }
}
