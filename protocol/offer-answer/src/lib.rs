//! Offer/answer (RFC 3264) for the gateway's two kinds of leg: WebRTC towards a browser, RTP towards a carrier.
//!
//! Each leg has a negotiation value that reads what the peer says and writes what we say. Neither touches a socket or
//! a clock; both are plain values that [`WebRtcLegNegotiation::export`] and [`RtpLegNegotiation::export`] hand out and
//! `import` takes back on another node. [`Bridge::choose`] then says, per direction and payload type, what a packet of
//! one leg becomes on the other: relayed as it is, or transcoded.

mod bridge;
mod codec;
mod error;
mod offered;
mod opus_params;
mod read;
mod rtp_leg;
mod rtp_state;
mod webrtc_leg;
mod webrtc_state;
mod write;

pub use bridge::{Bridge, Prefer, Route, answer_order};
pub use codec::{Codec, NegotiatedCodec, TelephoneEvents};
pub use error::OfferAnswerError;
pub use offered::OfferedSections;
pub use opus_params::{OpusParams, OpusSending};
pub use read::LatestOffer;
pub use rtp_leg::{RtpChange, RtpLegNegotiation};
pub use rtp_state::{RtpLegState, RtpLocal, RtpRemote};
pub use webrtc_leg::{WebRtcChange, WebRtcLegNegotiation};
pub use webrtc_state::{DtlsRole, IceCredentials, WebRtcLegState, WebRtcLocal, WebRtcRemote};

pub use offhook_sdp::attribute::{Direction, Fingerprint};
