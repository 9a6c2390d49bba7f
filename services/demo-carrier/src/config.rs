//! What the operator writes: `[demo_carrier]`.

use offhook_offer_answer::Codec;
use offhook_process::Problem;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `[demo_carrier]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on for SIP over UDP; RTP takes free ports on the same IP. Default `127.0.0.1:5080`; port 0 takes
    /// a free one.
    pub listen: SocketAddr,
    /// IP that others reach us at, in Contact and SDP. Default: the bound one, or the one towards the peer when listening
    /// on `0.0.0.0`.
    pub advertise: Option<IpAddr>,
    /// Codecs that are accepted, most preferred first: `PCMU`, `PCMA`, `opus`. Default `["PCMU", "PCMA"]`.
    pub codecs: Vec<CodecName>,
    /// How long it rings (180) before a call is answered, milliseconds. Default 500.
    pub ring_ms: u64,
    /// Most calls at a time; more get 503. Default 200.
    pub calls_max: usize,
    /// Whether messages are recorded in the call traces. Default true.
    pub trace: bool,
}

/// Name of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum CodecName {
    /// G.711 µ-law.
    #[serde(rename = "PCMU", alias = "pcmu")]
    Pcmu,
    /// G.711 A-law.
    #[serde(rename = "PCMA", alias = "pcma")]
    Pcma,
    /// Opus.
    #[serde(rename = "opus", alias = "OPUS", alias = "Opus")]
    Opus,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::Pcmu => Self::Pcmu,
            CodecName::Pcma => Self::Pcma,
            CodecName::Opus => Self::Opus,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 5080),
            advertise: None,
            codecs: vec![CodecName::Pcmu, CodecName::Pcma],
            ring_ms: 500,
            calls_max: 200,
            trace: true,
        }
    }
}

impl Config {
    /// Everything that is wrong or doubtful, with its place below `demo_carrier`.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.codecs.is_empty() {
            problems.push(Problem::error(
                "codecs",
                "no codec is accepted, so that no call can be answered",
                "Write [\"PCMU\", \"PCMA\"]",
            ));
        }
        if self.calls_max == 0 {
            problems.push(Problem::error("calls_max", "no call is taken", "Take 200"));
        }
        if !self.listen.ip().is_loopback() {
            problems.push(Problem::warning(
                "listen",
                "the demo carrier answers everyone who reaches it, without a password",
                "Listen on 127.0.0.1 unless this is a test network",
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_fine_and_the_rest_is_said() {
        assert_eq!(Config::default().check(), []);
        let bad = Config {
            listen: "0.0.0.0:5080".parse().unwrap(),
            codecs: Vec::new(),
            calls_max: 0,
            ..Config::default()
        };
        let places: Vec<String> = bad.check().into_iter().map(|problem| problem.path).collect();
        assert_eq!(places, ["codecs", "calls_max", "listen"]);
    }
}
