//! The sans-IO half of a WebRTC leg: ICE-lite, DTLS, SRTP.
//!
//! [`WebRtcLeg`] joins the three. It gets what SDP carries as values ([`RemoteParameters`]), datagrams and the time, and
//! gives back media decrypted in place, datagrams to send, and [`LegEvent`]s. A media packet, in or out, touches only
//! the SRTP state: no allocation, no ICE, no DTLS.
//!
//! ```text
//!   datagram ─► classify ─┬─ STUN ─► ice::LiteAgent ──► selected Path, answers
//!                         ├─ DTLS ─► dtls::Handshake ─► fingerprint check ─► SRTP keys
//!                         └─ RTP, RTCP ─► srtp::Context ─► Received::Rtp / Received::Rtcp
//! ```

mod dtls;
pub mod ice;
mod leg;
pub mod srtp;
pub mod stun;

pub use dtls::{Certificate, CertificateError, DtlsRole, Fingerprint, FingerprintError, HashFunction};
pub use leg::{
    DropReason, FailureReason, LegConfig, LegCounters, LegEvent, LegState, Received, RemoteParameters,
    SendError, Sending, Transmit, WebRtcLeg,
};

use std::net::SocketAddr;

/// A pair of addresses that a datagram travels between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// Our address: destination of what comes in, source of what goes out.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}
