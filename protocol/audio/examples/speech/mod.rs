//! Something like speech with pauses, always the same.

use offhook_audio::FRAME_SAMPLES;

/// Where a voice is.
#[derive(Default)]
pub(crate) struct Speech {
    frame: usize,
    phase: f64,
}

impl Speech {
    /// The next 20 ms.
    pub(crate) fn next_frame(&mut self) -> [i16; FRAME_SAMPLES] {
        let start = self.frame * FRAME_SAMPLES;
        self.frame += 1;
        std::array::from_fn(|index| {
            let time = (start + index) as f64 / 8_000.0;
            self.phase += (120.0 + 25.0 * (time * 3.0).sin()) / 8_000.0;
            let formant = 800.0 + 600.0 * (time * 9.0).sin();
            let voice = (1..=24).map(|harmonic| {
                let distance = (f64::from(harmonic) * 120.0 - formant) / 350.0;
                (self.phase * f64::from(harmonic) * std::f64::consts::TAU).sin() / (1.0 + distance * distance)
            });
            let loudness = if (time * 0.7).fract() < 0.65 {
                2_500.0
            } else {
                20.0
            };
            (voice.sum::<f64>() * loudness) as i16
        })
    }
}
