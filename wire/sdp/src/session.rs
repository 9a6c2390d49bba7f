//! A whole description: its session lines and its media sections.

use crate::attributes::Attributes;
use crate::host::Host;
use crate::media::MediaDescription;

/// A session description (RFC 8866 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// `o=`.
    pub origin: Origin,
    /// `s=`; `-` when there is nothing to say.
    pub session_name: String,
    /// `c=` of the session; sections without their own use it.
    pub connection: Option<Connection>,
    /// `b=` of the session.
    pub bandwidths: Vec<Bandwidth>,
    /// The first `t=`; `0 0` is a session without bounds.
    pub timing: Timing,
    /// `a=` of the session, in order.
    pub attributes: Attributes,
    /// Lines without a field of their own, in order.
    pub other: Vec<OtherLine>,
    /// The sections, in order: an answer has as many as its offer.
    pub media: Vec<MediaDescription>,
}

impl SessionDescription {
    /// A description without sections.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            session_name: "-".to_owned(),
            connection: None,
            bandwidths: Vec::new(),
            timing: Timing::default(),
            attributes: Attributes::default(),
            other: Vec::new(),
            media: Vec::new(),
        }
    }

    /// The connection that holds for `section`: its own, else the session's.
    pub fn connection_of<'a>(&'a self, section: &'a MediaDescription) -> Option<&'a Connection> {
        section.connection.as_ref().or(self.connection.as_ref())
    }
}

/// Who made a description, and its version (`o=`, RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Login name; `-` for none.
    pub username: String,
    /// Session id: digits, of any length.
    pub session_id: String,
    /// Version: digits, of any length; one more for each changed description.
    pub version: String,
    /// Host of the session. Not where media goes.
    pub address: Host,
}

impl Origin {
    /// An origin of ours.
    pub fn new(session_id: u64, version: u64, address: impl Into<Host>) -> Self {
        Self {
            username: "-".to_owned(),
            session_id: session_id.to_string(),
            version: version.to_string(),
            address: address.into(),
        }
    }
}

/// Where media goes (`c=`, RFC 8866 §5.7). Multicast scopes are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The address.
    pub host: Host,
}

impl Connection {
    /// True for the old way to say hold: `0.0.0.0` or `::`.
    pub fn is_unspecified(&self) -> bool {
        self.host.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

/// The most that the peer wants to receive (`b=`, RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// What is counted.
    pub kind: BandwidthKind,
    /// In the unit of `kind`.
    pub value: u64,
}

impl Bandwidth {
    /// Bits per second for the kinds that limit media, none for RTCP shares and unknown kinds.
    pub fn media_bps(&self) -> Option<u64> {
        match self.kind {
            BandwidthKind::ApplicationSpecific | BandwidthKind::ConferenceTotal => {
                Some(self.value.saturating_mul(1_000))
            }
            BandwidthKind::TransportIndependent => Some(self.value),
            BandwidthKind::Other(_) => None,
        }
    }
}

/// Kinds of [`Bandwidth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BandwidthKind {
    /// `AS`: kbit/s, IP and UDP headers counted.
    ApplicationSpecific,
    /// `CT`: kbit/s of all sections together.
    ConferenceTotal,
    /// `TIAS`: bit/s, lower layers not counted (RFC 3890).
    TransportIndependent,
    /// Any other (`RS`, `RR` …), as written.
    Other(String),
}

/// When a session is active (`t=`, RFC 8866 §5.9), in NTP seconds; zeros: always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Start.
    pub start: u64,
    /// Stop.
    pub stop: u64,
}

/// A line that has no field of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherLine {
    /// Its letter.
    pub letter: char,
    /// All after `=`.
    pub value: String,
}
