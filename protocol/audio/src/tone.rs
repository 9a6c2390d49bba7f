//! Sources of audio: sine tones, call progress tones, DTMF, comfort noise.

use crate::SAMPLE_RATE_HZ;
use crate::level::sine_amplitude;

/// One sine, by rotation of a complex number: no table, no trigonometry per sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sine {
    cosine: f64,
    sine: f64,
    step_cosine: f64,
    step_sine: f64,
    amplitude: f64,
}

impl Sine {
    /// A sine that starts at phase 0; `level_dbov` is at most -3.
    pub fn new(frequency_hz: f32, level_dbov: f32) -> Self {
        let step = std::f64::consts::TAU * f64::from(frequency_hz) / f64::from(SAMPLE_RATE_HZ);
        Self {
            cosine: 1.0,
            sine: 0.0,
            step_cosine: step.cos(),
            step_sine: step.sin(),
            amplitude: f64::from(sine_amplitude(level_dbov)),
        }
    }

    /// Adds the next samples to what is there.
    pub fn add_to(&mut self, samples: &mut [i16]) {
        for sample in samples.iter_mut() {
            let value = (self.sine * self.amplitude) as i16;
            *sample = sample.saturating_add(value);
            let cosine = self.cosine * self.step_cosine - self.sine * self.step_sine;
            self.sine = self.cosine * self.step_sine + self.sine * self.step_cosine;
            self.cosine = cosine;
        }
        // Rounding would let the circle grow or shrink over hours.
        let radius = self.cosine.hypot(self.sine);
        self.cosine /= radius;
        self.sine /= radius;
    }
}

/// Which country's ringing tone a caller hears (ITU-T E.180 supplement 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RingbackStyle {
    /// 425 Hz, 1 s on, 4 s off: most of Europe.
    #[default]
    Europe,
    /// 440 + 480 Hz, 2 s on, 4 s off: North America.
    NorthAmerica,
    /// 400 + 450 Hz, 0.4 s on, 0.2 s off, 0.4 s on, 2 s off: United Kingdom, Ireland.
    UnitedKingdom,
}

/// A part of a cadence, in samples.
type Part = u32;

/// A tone of one or two frequencies that comes and goes; plain state.
#[derive(Debug, Clone, PartialEq)]
pub struct Tone {
    sines: [Option<Sine>; 2],
    /// On, off, on, off; zeros at the end are left out. All zeros: always on.
    cadence: [Part; 4],
    part: usize,
    position: u32,
    /// Samples until it ends for good; none: never.
    remaining: Option<u32>,
}

impl Tone {
    /// A steady sine without end.
    pub fn sine(frequency_hz: f32, level_dbov: f32) -> Self {
        Self::new([Some(Sine::new(frequency_hz, level_dbov)), None], [0; 4])
    }

    /// The ringing tone that a caller hears.
    pub fn ringback(style: RingbackStyle) -> Self {
        const LEVEL_DBOV: f32 = -20.0;
        let sine = |frequency_hz| Some(Sine::new(frequency_hz, LEVEL_DBOV));
        match style {
            RingbackStyle::Europe => Self::new([sine(425.0), None], cadence_ms([1_000, 4_000, 0, 0])),
            RingbackStyle::NorthAmerica => {
                Self::new([sine(440.0), sine(480.0)], cadence_ms([2_000, 4_000, 0, 0]))
            }
            RingbackStyle::UnitedKingdom => {
                Self::new([sine(400.0), sine(450.0)], cadence_ms([400, 200, 400, 2_000]))
            }
        }
    }

    /// A DTMF digit (ITU-T Q.23) of `duration_ms`, silence after it; none if it is not `0-9 * # A-D`.
    pub fn dtmf(digit: char, duration_ms: u32) -> Option<Self> {
        const LEVEL_DBOV: f32 = -13.0;
        let (low, high) = crate::dtmf::frequencies_of(digit)?;
        let sines = [low, high].map(|frequency| Some(Sine::new(frequency, LEVEL_DBOV)));
        Some(Self {
            remaining: Some(samples_of(duration_ms)),
            ..Self::new(sines, [0; 4])
        })
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        samples.fill(0);
        let mut rest = samples;
        while !rest.is_empty() && self.remaining != Some(0) {
            let until_change = self.until_change();
            let len = rest
                .len()
                .min(usize::try_from(until_change).unwrap_or(usize::MAX));
            let (now, later) = rest.split_at_mut(len);
            if self.part.is_multiple_of(2) {
                self.sines.iter_mut().flatten().for_each(|sine| sine.add_to(now));
            }
            self.advance(len as u32);
            rest = later;
        }
    }

    /// True if nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.remaining == Some(0)
    }

    fn new(sines: [Option<Sine>; 2], cadence: [Part; 4]) -> Self {
        Self {
            sines,
            cadence,
            part: 0,
            position: 0,
            remaining: None,
        }
    }

    fn until_change(&self) -> u32 {
        let part = match self.cadence[self.part] {
            0 => u32::MAX,
            part => part - self.position,
        };
        part.min(self.remaining.unwrap_or(u32::MAX))
    }

    fn advance(&mut self, samples: u32) {
        if let Some(remaining) = &mut self.remaining {
            *remaining -= samples;
        }
        let part = self.cadence[self.part];
        if part == 0 {
            return;
        }
        self.position += samples;
        if self.position == part {
            self.position = 0;
            let next = (self.part + 1) % self.cadence.len();
            self.part = if self.cadence[next] == 0 { 0 } else { next };
        }
    }
}

/// Low, soft noise, so that a silent line does not sound dead; plain state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComfortNoise {
    random: u32,
    previous: i32,
}

impl ComfortNoise {
    /// Noise at about -66 dBov. Any seed.
    pub fn new(seed: u32) -> Self {
        Self {
            random: seed | 1,
            previous: 0,
        }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            // xorshift32: enough for noise.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            let white = (self.random >> 26) as i32 - 32;
            // Room noise has more of the low frequencies.
            self.previous = (self.previous + white) / 2;
            *sample = self.previous as i16;
        }
    }
}

fn samples_of(duration_ms: u32) -> u32 {
    duration_ms.saturating_mul(SAMPLE_RATE_HZ / 1_000)
}

fn cadence_ms(parts: [u32; 4]) -> [Part; 4] {
    parts.map(samples_of)
}
