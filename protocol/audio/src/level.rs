//! Loudness of audio.

/// The level of digital silence, dBov.
pub const SILENCE_DBOV: f32 = -127.0;

/// Level of samples in dBov: 0 is a square wave of full scale, -3 the loudest sine, -127 silence (RFC 6464 §3).
pub fn dbov(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return SILENCE_DBOV;
    }
    let energy: i64 = samples
        .iter()
        .map(|sample| i64::from(*sample) * i64::from(*sample))
        .sum();
    if energy == 0 {
        return SILENCE_DBOV;
    }
    let mean = energy as f64 / samples.len() as f64;
    let full_scale = f64::from(i16::MAX).powi(2);
    ((10.0 * (mean / full_scale).log10()) as f32).clamp(SILENCE_DBOV, 0.0)
}

/// The amplitude (peak, in sample units) of a sine of this level.
pub fn sine_amplitude(dbov: f32) -> f32 {
    10.0_f32.powf(dbov / 20.0) * f32::from(i16::MAX) * std::f32::consts::SQRT_2
}
