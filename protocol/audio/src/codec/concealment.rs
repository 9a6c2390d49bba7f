//! Bridges lost G.711 packets by repeating the last pitch period, fading out: the idea of ITU-T G.711 Appendix I,
//! without its look-back delay.

/// Shortest pitch period that is looked for: 5 ms, 200 Hz.
const PITCH_MIN: usize = 40;
/// Longest: 15 ms, 66 Hz.
const PITCH_MAX: usize = 120;
/// Audio that is compared to find the period: 12 ms. More would average over a pitch that glides.
const COMPARED: usize = 96;
/// Audio that is remembered.
const HISTORY: usize = COMPARED + PITCH_MAX + PITCH_MAX / 4;
/// After a loss, the invented audio fades into the real one for 4 ms.
const FADE_IN: usize = 32;
/// The repetition keeps its loudness for 10 ms …
const HOLD: usize = 80;
/// … and is silent after 60 ms.
const FADE_OUT_END: usize = 480;

/// Bridges the losses of one G.711 stream; a plain value.
#[derive(Debug, Clone, PartialEq)]
pub struct G711Concealer {
    history: [i16; HISTORY],
    cycle: [i16; PITCH_MAX],
    loss: Option<Loss>,
}

/// A loss that is being bridged.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Loss {
    period: usize,
    /// Place in the cycle.
    place: usize,
    /// Samples made up so far.
    made: usize,
}

impl Default for G711Concealer {
    fn default() -> Self {
        Self {
            history: [0; HISTORY],
            cycle: [0; PITCH_MAX],
            loss: None,
        }
    }
}

impl G711Concealer {
    /// Takes decoded audio; the start of the first one after a loss is smoothed in place.
    pub fn decoded(&mut self, samples: &mut [i16]) {
        if let Some(mut loss) = self.loss.take() {
            let len = samples.len().min(FADE_IN);
            for (index, sample) in samples.iter_mut().take(len).enumerate() {
                let made_up = i32::from(self.next_made_up(&mut loss));
                let share = index as i32 + 1;
                let whole = len as i32 + 1;
                *sample = ((i32::from(*sample) * share + made_up * (whole - share)) / whole) as i16;
            }
        }
        self.remember(samples);
    }

    /// Makes up audio for a loss, of any length.
    pub fn conceal(&mut self, samples: &mut [i16]) {
        let mut loss = match self.loss.take() {
            Some(loss) => loss,
            None => self.begin(),
        };
        for sample in samples.iter_mut() {
            *sample = self.next_made_up(&mut loss);
        }
        self.loss = Some(loss);
        self.remember(samples);
    }

    fn begin(&mut self) -> Loss {
        let period = pitch_period(&self.history);
        let quarter = period / 4;
        let end = HISTORY;
        self.cycle[..period].copy_from_slice(&self.history[end - period..]);
        // The end of the cycle turns into what came before its start, so that it joins without a click.
        for index in 0..quarter {
            let place = period - quarter + index;
            let before = i32::from(self.history[end - period - quarter + index]);
            let own = i32::from(self.cycle[place]);
            let (share, whole) = (index as i32 + 1, quarter as i32 + 1);
            self.cycle[place] = ((own * (whole - share) + before * share) / whole) as i16;
        }
        Loss {
            period,
            place: 0,
            made: 0,
        }
    }

    fn next_made_up(&self, loss: &mut Loss) -> i16 {
        let sample = i32::from(self.cycle[loss.place]);
        let left = FADE_OUT_END.saturating_sub(loss.made.max(HOLD)) as i32;
        loss.place = (loss.place + 1) % loss.period;
        loss.made = (loss.made + 1).min(FADE_OUT_END);
        (sample * left / (FADE_OUT_END - HOLD) as i32) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let new = samples.len().min(HISTORY);
        self.history.copy_within(new.., 0);
        self.history[HISTORY - new..].copy_from_slice(&samples[samples.len() - new..]);
    }
}

/// The lag at which the last 12 ms are most like what was before them.
fn pitch_period(history: &[i16; HISTORY]) -> usize {
    let recent = &history[HISTORY - COMPARED..];
    let likeness = |lag: usize| {
        let lagged = &history[HISTORY - COMPARED - lag..HISTORY - lag];
        let (mut product, mut energy) = (0_i64, 1_i64);
        for (a, b) in recent.iter().zip(lagged) {
            product += i64::from(*a) * i64::from(*b);
            energy += i64::from(*b) * i64::from(*b);
        }
        product as f64 / (energy as f64).sqrt()
    };
    let candidates = (PITCH_MIN..=PITCH_MAX).map(|lag| (lag, likeness(lag)));
    candidates
        .fold(
            (PITCH_MIN, f64::MIN),
            |best, next| if next.1 > best.1 { next } else { best },
        )
        .0
}
