//! What is played: tones and pauses, one after the other.

use offhook_audio::SAMPLE_RATE_HZ;
use offhook_audio::tone::Tone;
use std::collections::VecDeque;

/// Level of what is played: clear, and 20 dB from clipping.
const LEVEL_DBOV: f32 = -20.0;

/// Frequency of the tone number, Hz.
pub(crate) const TONE_HZ: f32 = 440.0;

/// Frequency of the beep that asks for digits, Hz.
pub(crate) const BEEP_HZ: f32 = 1000.0;

/// The announcement: frequency in Hz (0: pause) and milliseconds.
pub(crate) const MELODY: [(f32, u32); 8] = [
    (523.0, 300),
    (659.0, 300),
    (784.0, 300),
    (1047.0, 600),
    (784.0, 300),
    (659.0, 300),
    (523.0, 600),
    (0.0, 300),
];

/// Tones that play one after the other; silence when there are none.
#[derive(Debug)]
pub(crate) struct Playlist {
    items: VecDeque<Item>,
    /// Played again and again when the items are through.
    refrain: &'static [(f32, u32)],
}

#[derive(Debug)]
struct Item {
    /// None: a pause.
    tone: Option<Tone>,
    /// Samples left; none: without end.
    left: Option<u32>,
}

impl Playlist {
    /// Nothing but silence, until something is added.
    pub(crate) fn silence() -> Self {
        Self {
            items: VecDeque::new(),
            refrain: &[],
        }
    }

    /// 440 Hz without end.
    pub(crate) fn tone() -> Self {
        let item = Item {
            tone: Some(Tone::sine(TONE_HZ, LEVEL_DBOV)),
            left: None,
        };
        Self {
            items: VecDeque::from([item]),
            refrain: &[],
        }
    }

    /// The announcement, again and again.
    pub(crate) fn melody() -> Self {
        Self {
            items: VecDeque::new(),
            refrain: &MELODY,
        }
    }

    /// Adds a sine, or a pause for 0 Hz.
    pub(crate) fn push(&mut self, frequency_hz: f32, duration_ms: u32) {
        self.items.push_back(Item {
            tone: (frequency_hz > 0.0).then(|| Tone::sine(frequency_hz, LEVEL_DBOV)),
            left: Some(samples_of(duration_ms)),
        });
    }

    /// Adds a digit as DTMF, and the pause after it.
    pub(crate) fn push_digit(&mut self, digit: char) {
        const TONE_MS: u32 = 200;
        const PAUSE_MS: u32 = 150;
        self.items.push_back(Item {
            tone: Tone::dtmf(digit, TONE_MS),
            left: Some(samples_of(TONE_MS + PAUSE_MS)),
        });
    }

    /// Writes the next samples.
    pub(crate) fn fill(&mut self, samples: &mut [i16]) {
        samples.fill(0);
        let mut rest = samples;
        while !rest.is_empty() {
            if self.items.is_empty() {
                for (frequency_hz, duration_ms) in self.refrain {
                    self.push(*frequency_hz, *duration_ms);
                }
            }
            let Some(item) = self.items.front_mut() else {
                return;
            };
            let wanted = item.left.map_or(rest.len(), |left| rest.len().min(left as usize));
            let (now, later) = rest.split_at_mut(wanted);
            if let Some(tone) = &mut item.tone {
                tone.fill(now);
            }
            if let Some(left) = &mut item.left {
                *left -= now.len() as u32;
                if *left == 0 {
                    self.items.pop_front();
                }
            }
            rest = later;
        }
    }
}

fn samples_of(duration_ms: u32) -> u32 {
    duration_ms * (SAMPLE_RATE_HZ / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_audio::dtmf::{DtmfDetector, dominant_frequency};

    fn play(playlist: &mut Playlist, ms: u32) -> Vec<i16> {
        let mut samples = vec![0; samples_of(ms) as usize];
        samples.chunks_mut(160).for_each(|frame| playlist.fill(frame));
        samples
    }

    fn heard(samples: &[i16]) -> f32 {
        dominant_frequency(samples, SAMPLE_RATE_HZ).unwrap_or(0.0).round()
    }

    #[test]
    fn the_tone_is_440_hz() {
        assert_eq!(heard(&play(&mut Playlist::tone(), 1000)), 440.0);
    }

    #[test]
    fn the_melody_plays_its_notes_again_and_again() {
        let mut playlist = Playlist::melody();
        for _ in 0..2 {
            for (frequency_hz, duration_ms) in MELODY {
                let heard = heard(&play(&mut playlist, duration_ms));
                assert!(
                    (heard - frequency_hz).abs() <= 1.0,
                    "{heard} Hz instead of {frequency_hz}"
                );
            }
        }
    }

    #[test]
    fn digits_are_played_as_dtmf_and_then_there_is_silence() {
        let mut playlist = Playlist::silence();
        "1590*D".chars().for_each(|digit| playlist.push_digit(digit));
        let samples = play(&mut playlist, 3000);
        let mut found = String::new();
        DtmfDetector::default().push(&samples, |digit| found.push(digit));
        assert_eq!(found, "1590*D");
        assert!(samples[samples.len() - 1000..].iter().all(|sample| *sample == 0));
    }
}
