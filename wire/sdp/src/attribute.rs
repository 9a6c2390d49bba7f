//! Typed attributes, one file each. They are read when asked for, see [`crate::Attributes::first`].

use std::fmt;

mod candidate;
mod direction;
mod fingerprint;
pub mod flag;
mod fmtp;
mod group;
mod ice;
mod mid;
mod msid;
mod ptime;
mod rtcp;
mod rtpmap;
mod setup;
mod ssrc;

pub use candidate::{Candidate, CandidateKind, CandidateTransport, TcpType};
pub use direction::Direction;
pub use fingerprint::{Fingerprint, HashFunction};
pub use fmtp::{Fmtp, FmtpParameter};
pub use group::Group;
pub use ice::{IcePwd, IceUfrag};
pub use mid::Mid;
pub use msid::Msid;
pub use ptime::{MaxPtime, Ptime};
pub use rtcp::Rtcp;
pub use rtpmap::RtpMap;
pub use setup::Setup;
pub use ssrc::Ssrc;

/// An attribute that has a type. `Display` writes the value, as it stands after the colon.
pub trait TypedAttribute: Sized + fmt::Display {
    /// The attribute's name.
    const NAME: &'static str;
    /// The form of its value, for error messages.
    const EXPECTED: &'static str;

    /// Reads the value; none if it does not have the form of [`Self::EXPECTED`].
    fn parse(value: &str) -> Option<Self>;
}

/// A payload type: 0 to 127.
fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| *number < 128)
}

/// One word: not empty, no blanks.
fn word(text: &str) -> Option<String> {
    let word = text.trim();
    (!word.is_empty() && !word.contains(char::is_whitespace)).then(|| word.to_owned())
}
