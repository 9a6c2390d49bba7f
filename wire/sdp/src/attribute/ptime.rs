//! `a=ptime` and `a=maxptime`: length of audio in one packet (RFC 8866 §6.4, §6.5).

use std::fmt;

use super::TypedAttribute;

/// Longest packet that makes sense, milliseconds: what one Opus packet can hold (RFC 6716 §2).
const PACKET_MS_MAX: f64 = 120.0;

/// Preferred length of audio in one packet, whole milliseconds, 1 to 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ptime(pub u16);

/// Greatest length of audio in one packet, whole milliseconds, 1 to 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPtime(pub u16);

impl TypedAttribute for Ptime {
    const NAME: &'static str = "ptime";
    const EXPECTED: &'static str = "<milliseconds>, more than 0";

    fn parse(value: &str) -> Option<Self> {
        milliseconds(value).map(Self)
    }
}

impl TypedAttribute for MaxPtime {
    const NAME: &'static str = "maxptime";
    const EXPECTED: &'static str = "<milliseconds>, more than 0";

    fn parse(value: &str) -> Option<Self> {
        milliseconds(value).map(Self)
    }
}

impl fmt::Display for Ptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MaxPtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some phones write fractions (`2.5`); longer packets than any codec makes are cut to the longest.
fn milliseconds(value: &str) -> Option<u16> {
    let number: f64 = value.trim().parse().ok()?;
    (number > 0.0).then(|| number.clamp(1.0, PACKET_MS_MAX).round() as u16)
}
