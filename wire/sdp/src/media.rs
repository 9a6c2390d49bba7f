//! One media section: an `m=` line and what belongs to it.

use std::fmt;

use crate::attributes::Attributes;
use crate::session::{Bandwidth, Connection, OtherLine};

/// A media section (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// What kind of media.
    pub kind: MediaKind,
    /// Port; 0 rejects or switches off the section.
    pub port: u16,
    /// Number of port pairs, where the line says `<port>/<count>`.
    pub port_count: Option<u16>,
    /// Transport.
    pub protocol: TransportProtocol,
    /// Formats in order of preference; payload types where RTP is spoken.
    pub formats: Vec<String>,
    /// `c=` of the section.
    pub connection: Option<Connection>,
    /// `b=` of the section.
    pub bandwidths: Vec<Bandwidth>,
    /// `a=` of the section, in order.
    pub attributes: Attributes,
    /// Lines without a field of their own, in order.
    pub other: Vec<OtherLine>,
}

impl MediaDescription {
    /// A section without lines of its own.
    pub fn new(kind: MediaKind, port: u16, protocol: TransportProtocol, formats: Vec<String>) -> Self {
        Self {
            kind,
            port,
            port_count: None,
            protocol,
            formats,
            connection: None,
            bandwidths: Vec::new(),
            attributes: Attributes::default(),
            other: Vec::new(),
        }
    }

    /// The RTP payload types of the `m=` line, in order; formats that are none are left out.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok().filter(|number| *number < 128))
    }
}

/// Kinds of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`.
    Audio,
    /// `video`.
    Video,
    /// `application`: data channels.
    Application,
    /// Any other, as written.
    Other(String),
}

impl MediaKind {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "application" => Self::Application,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
            Self::Other(other) => other,
        })
    }
}

/// The transport of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportProtocol {
    /// `RTP/AVP`: plain RTP.
    RtpAvp,
    /// `RTP/AVPF`: plain RTP with early feedback (RFC 4585).
    RtpAvpf,
    /// `RTP/SAVP`: SRTP.
    RtpSavp,
    /// `RTP/SAVPF`: SRTP with early feedback.
    RtpSavpf,
    /// `UDP/TLS/RTP/SAVP`: SRTP keyed by DTLS (RFC 5764).
    UdpTlsRtpSavp,
    /// `UDP/TLS/RTP/SAVPF`: the same with early feedback, what browsers speak.
    UdpTlsRtpSavpf,
    /// Any other, as written.
    Other(String),
}

impl TransportProtocol {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "RTP/AVP" => Self::RtpAvp,
            "RTP/AVPF" => Self::RtpAvpf,
            "RTP/SAVP" => Self::RtpSavp,
            "RTP/SAVPF" => Self::RtpSavpf,
            "UDP/TLS/RTP/SAVP" => Self::UdpTlsRtpSavp,
            "UDP/TLS/RTP/SAVPF" => Self::UdpTlsRtpSavpf,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for TransportProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RtpAvp => "RTP/AVP",
            Self::RtpAvpf => "RTP/AVPF",
            Self::RtpSavp => "RTP/SAVP",
            Self::RtpSavpf => "RTP/SAVPF",
            Self::UdpTlsRtpSavp => "UDP/TLS/RTP/SAVP",
            Self::UdpTlsRtpSavpf => "UDP/TLS/RTP/SAVPF",
            Self::Other(other) => other,
        })
    }
}
