//! `a=rtpmap`: what a payload type stands for (RFC 8866 §6.6).

use std::fmt;

use super::TypedAttribute;

/// What a payload type stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written; compare without regard to case.
    pub encoding: String,
    /// Ticks per second of the RTP timestamp.
    pub clock_rate_hz: u32,
    /// Number of channels, where it is written.
    pub channels: Option<u8>,
}

impl TypedAttribute for RtpMap {
    const NAME: &'static str = "rtpmap";
    const EXPECTED: &'static str = "<payload type> <encoding>/<clock rate>[/<channels>]";

    fn parse(value: &str) -> Option<Self> {
        let (payload_type, mapping) = value.trim().split_once(' ')?;
        let mut parts = mapping.trim().split('/');
        let encoding = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let clock_rate_hz = parts.next()?.parse().ok().filter(|rate| *rate > 0)?;
        let channels = parts
            .next()
            .map(|channels| channels.trim().parse().ok())
            .map_or(Some(None), |read| read.map(Some))?;
        Some(Self {
            payload_type: super::payload_type(payload_type)?,
            encoding,
            clock_rate_hz,
            channels,
        })
    }
}

impl fmt::Display for RtpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}/{}",
            self.payload_type, self.encoding, self.clock_rate_hz
        )?;
        self.channels.map_or(Ok(()), |channels| write!(f, "/{channels}"))
    }
}
