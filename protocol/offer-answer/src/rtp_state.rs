//! The plain values of an RTP leg's negotiation.

use std::net::SocketAddr;

use offhook_sdp::attribute::Direction;

use crate::codec::{Codec, NegotiatedCodec, TelephoneEvents};
use crate::offered::OfferedSections;
use crate::opus_params::OpusParams;
use crate::read::LatestOffer;

/// What our side of the leg is made of; the gateway fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpLocal {
    /// Identifies our descriptions in `o=`; unique per leg, below 2⁶³.
    pub session_id: u64,
    /// Where we take RTP, as the carrier reaches it.
    pub address: SocketAddr,
    /// Where we take RTCP, if not at the RTP port plus one.
    pub rtcp_port: Option<u16>,
    /// Codecs that we offer and accept, most preferred first.
    pub codecs: Vec<Codec>,
    /// What we want to receive when Opus is chosen.
    pub opus: OpusParams,
    /// Packet length that we send and ask for, milliseconds; 20.
    pub packet_ms: u16,
    /// Cap on what the carrier is to send, bit/s.
    pub max_bitrate_bps: Option<u32>,
}

/// What the carrier's latest description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpRemote {
    /// Where it takes RTP. None on hold by `c=0.0.0.0` (RFC 2543) or `[::]`.
    pub rtp: Option<SocketAddr>,
    /// Where it takes RTCP: `a=rtcp`, else the port after RTP. None as above.
    pub rtcp: Option<SocketAddr>,
    /// It agrees to RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Codecs that both sides can do, in the order of preference of who answered; an offer's in our order. Not empty.
    pub codecs: Vec<NegotiatedCodec>,
    /// Payload types of telephone-event, as the carrier numbers them.
    pub telephone_events: TelephoneEvents,
    /// As the carrier states it, of its own sending and receiving; on hold by address it does not receive.
    pub direction: Direction,
    /// The most that it wants to receive, bit/s of codec payload (`b=TIAS`, `b=AS`, headers taken off).
    pub max_bitrate_bps: Option<u32>,
    /// `a=ptime`: packet length that it wants to receive, milliseconds.
    pub packet_ms: Option<u16>,
    /// `a=maxptime`, milliseconds.
    pub max_packet_ms: Option<u16>,
}

/// All that an RTP leg's negotiation knows; plain, so that it can be written down and taken up elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpLegState {
    /// Our side.
    pub local: RtpLocal,
    /// Version of our next description (`o=`, RFC 3264 §8).
    pub version: u64,
    /// The direction that our latest description stated.
    pub direction: Direction,
    /// The carrier's latest description, read.
    pub remote: Option<RtpRemote>,
    /// The sections of the carrier's latest offer.
    pub offered: Option<OfferedSections>,
    /// Whose offer counts.
    pub latest_offer: LatestOffer,
}
