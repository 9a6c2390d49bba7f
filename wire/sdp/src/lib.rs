//! Session descriptions (RFC 8866) and the attributes that WebRTC and telephony need.
//!
//! [`SessionDescription::parse`] reads a text into sections; their `a=` lines stay name and value until somebody asks
//! for a type: `section.attributes.first::<Mid>()`. What we don't know is kept, in order, and printed again.
//! All of it is bounded: see [`SDP_LEN_MAX`], [`MEDIA_SECTIONS_MAX`], [`ATTRIBUTES_MAX`], [`OTHER_LINES_MAX`].

pub mod attribute;
mod attributes;
mod error;
mod host;
mod media;
mod parse;
mod print;
mod session;

pub use attributes::{Attribute, Attributes};
pub use error::{SdpError, SdpErrorKind};
pub use host::Host;
pub use media::{MediaDescription, MediaKind, TransportProtocol};
pub use session::{Bandwidth, BandwidthKind, Connection, Origin, OtherLine, SessionDescription, Timing};

/// Longest description that is read, in bytes. A browser's with every candidate has under 8 KiB.
pub const SDP_LEN_MAX: usize = 64 * 1024;
/// Most `m=` lines of one description. A call has one; a browser page with video and data three.
pub const MEDIA_SECTIONS_MAX: usize = 16;
/// Most `a=` lines of the session or of one section: leaves room for 500 candidates.
pub const ATTRIBUTES_MAX: usize = 1024;
/// Most lines of a section that have no field of their own (`i=`, `u=`, `r=`, unknown letters …).
pub const OTHER_LINES_MAX: usize = 64;
/// Most formats of one `m=` line: there are 128 payload types.
pub const FORMATS_MAX: usize = 128;
