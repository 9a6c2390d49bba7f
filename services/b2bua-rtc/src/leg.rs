//! One leg of a session: its transport and negotiation, what comes in, what goes out.

mod inbound;
mod outbound;
mod own_sources;
mod passing_event;
mod sending;
mod sources;

use crate::outbox::{Outbox, SocketToken};
use crate::rtp_leg::{Admission, RtpSide};
use crate::webrtc_leg::WebRtcSide;
use offhook_media_control::{CommandError, CommandErrorKind, LegName};
use offhook_offer_answer::{
    Codec, Direction, NegotiatedCodec, OfferAnswerError, OpusParams, TelephoneEvents,
};
use offhook_rtp::{FIXED_HEADER_LEN, RtpFields};
use offhook_webrtc::{DropReason, Path, Received};
use std::net::SocketAddr;
use std::time::Instant;

pub(crate) use inbound::{Inbound, Press, codec_name};
pub(crate) use outbound::Outbound;
pub(crate) use sending::{audio_codec, passes};

/// Which of a leg's ports a datagram came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The node's WebRTC port, on this local address.
    WebRtc {
        /// Address of the socket.
        local: SocketAddr,
    },
    /// The leg's RTP port.
    Rtp,
    /// The leg's RTCP port.
    Rtcp,
}

/// What a datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Media: this many bytes at the front are a readable RTP packet, decrypted.
    Rtp(usize),
    /// The same, and from now on the peer's packets come from this address.
    Latched(usize),
    /// A report: this many bytes at the front are RTCP, decrypted.
    Rtcp(usize),
    /// ICE or DTLS: what they have to say is to be drained.
    Transport,
    /// Media of a peer that is not described yet: it comes again when that is.
    Kept,
    /// Nothing for us.
    Dropped(Discard),
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discard {
    /// From an address that is not the peer's.
    Stranger,
    /// Neither RTP nor RTCP, or broken.
    Malformed,
    /// STUN with wrong integrity or without use.
    BadStun,
    /// SRTP that does not decrypt.
    BadTag,
    /// SRTP that came before.
    Replayed,
    /// Media before the leg is connected, or after it failed.
    NotReady,
    /// A payload type that was not negotiated.
    UnknownPayload,
    /// The other leg takes no media now.
    NoReceiver,
    /// Audio of a source beside which a newer one of the same peer is heard.
    OtherSource,
}

/// Transport and negotiation of a leg.
#[derive(Debug)]
pub(crate) enum Transport {
    WebRtc(Box<WebRtcSide>),
    Rtp(Box<RtpSide>),
}

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) name: LegName,
    pub(crate) transport: Transport,
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
}

/// What a further description changed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    /// The peer has new ICE credentials.
    pub(crate) ice_restart: bool,
}

impl Leg {
    /// Reads an offer of the peer.
    pub(crate) fn handle_offer(&mut self, now: Instant, sdp: &str) -> Result<Change, OfferAnswerError> {
        match &mut self.transport {
            Transport::WebRtc(side) => side.negotiation.handle_offer(sdp).map(|change| Change {
                ice_restart: change.ice_restart,
            }),
            Transport::Rtp(side) => {
                let change = side.negotiation.handle_offer(sdp)?;
                side.described(now, change.address);
                Ok(Change::default())
            }
        }
    }

    /// Reads the peer's answer to our offer.
    pub(crate) fn handle_answer(&mut self, now: Instant, sdp: &str) -> Result<(), OfferAnswerError> {
        match &mut self.transport {
            Transport::WebRtc(side) => {
                side.negotiation.handle_answer(sdp)?;
                if side.apply_remote(now) {
                    self.outbound.stream.rekeyed();
                }
            }
            Transport::Rtp(side) => {
                let change = side.negotiation.handle_answer(sdp)?;
                side.described(now, change.address);
            }
        }
        Ok(())
    }

    /// Writes our answer to the peer's latest offer, and starts the transport. An RTP peer is told at most `allowed`.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        order: &[Codec],
        allowed: Direction,
    ) -> Result<String, OfferAnswerError> {
        match &mut self.transport {
            Transport::WebRtc(side) => {
                let answer = side.negotiation.answer(order)?;
                if side.apply_remote(now) {
                    self.outbound.stream.rekeyed();
                }
                Ok(answer)
            }
            Transport::Rtp(side) => {
                let answer = side.negotiation.answer(order, allowed)?;
                // Only now does the peer know where to send to.
                side.described(now, false);
                Ok(answer)
            }
        }
    }

    /// Puts the codecs of further offers into this order.
    pub(crate) fn prefer(&mut self, order: &[Codec]) {
        match &mut self.transport {
            Transport::WebRtc(side) => side.negotiation.prefer(order),
            Transport::Rtp(side) => side.negotiation.prefer(order),
        }
    }

    /// What the peer is to send when Opus is chosen; our next description says so.
    pub(crate) fn ask_for(&mut self, opus: OpusParams) {
        match &mut self.transport {
            Transport::WebRtc(side) => side.negotiation.ask_for(opus),
            Transport::Rtp(side) => side.negotiation.ask_for(opus),
        }
    }

    /// What the other leg's peer is to send when Opus is chosen: what this one wants, to whom it is passed on. Where this
    /// one has no Opus, or has not said anything yet, it is our decoder that listens.
    pub(crate) fn opus_wishes(&self) -> OpusParams {
        let opus = self.codecs().iter().find(|each| each.codec == Codec::Opus);
        opus.map_or_else(OpusParams::default, |each| {
            each.opus.passed_on(self.max_bitrate_bps())
        })
    }

    /// Writes an offer of ours.
    pub(crate) fn offer(&mut self, direction: Direction) -> String {
        match &mut self.transport {
            Transport::WebRtc(side) => side.negotiation.offer(direction),
            Transport::Rtp(side) => side.negotiation.offer(direction),
        }
    }

    /// Codecs that the peer and we can do, most preferred first; empty before its description.
    pub(crate) fn codecs(&self) -> &[NegotiatedCodec] {
        match &self.transport {
            Transport::WebRtc(side) => side.negotiation.remote().map_or(&[], |remote| &remote.codecs),
            Transport::Rtp(side) => side.negotiation.remote().map_or(&[], |remote| &remote.codecs),
        }
    }

    /// Payload types of its telephone-events.
    pub(crate) fn telephone_events(&self) -> TelephoneEvents {
        match &self.transport {
            Transport::WebRtc(side) => side.negotiation.remote().map(|remote| remote.telephone_events),
            Transport::Rtp(side) => side.negotiation.remote().map(|remote| remote.telephone_events),
        }
        .unwrap_or_default()
    }

    /// The most that the peer wants to receive, bit/s.
    pub(crate) fn max_bitrate_bps(&self) -> Option<u32> {
        match &self.transport {
            Transport::WebRtc(side) => side.negotiation.remote()?.max_bitrate_bps,
            Transport::Rtp(side) => side.negotiation.remote()?.max_bitrate_bps,
        }
    }

    /// Direction that the peer stated, of its own sending and receiving; `SendRecv` before it has.
    pub(crate) fn peer_direction(&self) -> Direction {
        match &self.transport {
            Transport::WebRtc(side) => side.negotiation.remote().map(|remote| remote.direction),
            Transport::Rtp(side) => side.negotiation.remote().map(|remote| remote.direction),
        }
        .unwrap_or_default()
    }

    /// True if the peer can be sent media now, and wants it.
    pub(crate) fn takes_media(&self) -> bool {
        let reachable = match &self.transport {
            Transport::WebRtc(side) => side.leg.is_connected(),
            Transport::Rtp(side) => side.rtp_destination().is_some(),
        };
        reachable && self.peer_direction().receives()
    }

    /// Our ufrag, by which the first datagram finds a WebRTC leg.
    pub(crate) fn ufrag(&self) -> Option<&str> {
        match &self.transport {
            Transport::WebRtc(side) => Some(&side.leg.local_credentials().ufrag),
            Transport::Rtp(_) => None,
        }
    }

    /// When the transport has to be looked at.
    pub(crate) fn transport_timeout(&self) -> Option<Instant> {
        match &self.transport {
            Transport::WebRtc(side) => side.leg.poll_timeout(),
            Transport::Rtp(side) => side.poll_timeout(),
        }
    }

    /// Sorts and decrypts a datagram in place.
    #[inline]
    pub(crate) fn take(&mut self, now: Instant, lane: Lane, source: SocketAddr, data: &mut [u8]) -> Taken {
        match (&mut self.transport, lane) {
            (Transport::WebRtc(side), Lane::WebRtc { local }) => {
                let path = Path {
                    local,
                    remote: source,
                };
                match side.leg.handle_datagram(now, path, data) {
                    Received::Rtp { len } => Taken::Rtp(len),
                    Received::Rtcp { len } => Taken::Rtcp(len),
                    Received::Handled => Taken::Transport,
                    Received::Dropped(reason) => Taken::Dropped(drop_of(reason)),
                }
            }
            (Transport::Rtp(side), Lane::Rtp) => match offhook_rtp::classify(data) {
                offhook_rtp::PacketClass::Rtp => match side.admit_rtp(now, source, data) {
                    Admission::Peer => Taken::Rtp(data.len()),
                    Admission::Latched => Taken::Latched(data.len()),
                    Admission::Early => Taken::Kept,
                    Admission::Probation | Admission::EarlyOverflow => Taken::Dropped(Discard::NotReady),
                    Admission::Stranger => Taken::Dropped(Discard::Stranger),
                },
                offhook_rtp::PacketClass::Rtcp if side.takes_rtcp(source) => Taken::Rtcp(data.len()),
                offhook_rtp::PacketClass::Rtcp => Taken::Dropped(Discard::Stranger),
                _ => Taken::Dropped(Discard::Malformed),
            },
            (Transport::Rtp(side), Lane::Rtcp) => match offhook_rtp::classify(data) {
                offhook_rtp::PacketClass::Rtcp if side.takes_rtcp(source) => Taken::Rtcp(data.len()),
                offhook_rtp::PacketClass::Rtcp => Taken::Dropped(Discard::Stranger),
                _ => Taken::Dropped(Discard::Malformed),
            },
            (Transport::WebRtc(_), Lane::Rtp | Lane::Rtcp) | (Transport::Rtp(_), Lane::WebRtc { .. }) => {
                Taken::Dropped(Discard::Malformed)
            }
        }
    }
}

impl Transport {
    /// Sends an RTP packet whose payload `write` puts into the buffer; it returns the header and the payload's length.
    #[inline]
    pub(crate) fn send_rtp(
        &mut self,
        out: &mut Outbox,
        write: impl FnOnce(&mut [u8]) -> Option<(RtpFields, usize)>,
    ) -> Option<RtpFields> {
        let mut sent = None;
        let fill = |slot: &mut [u8], room: usize| {
            let (fields, payload_len) = write(slot.get_mut(FIXED_HEADER_LEN..room)?)?;
            slot[..FIXED_HEADER_LEN].copy_from_slice(&fields.to_header());
            sent = Some(fields);
            Some(FIXED_HEADER_LEN + payload_len)
        };
        match self {
            Transport::Rtp(side) => {
                let destination = side.rtp_destination()?;
                out.push_with(side.port.rtp, destination, |slot| fill(slot, slot.len()))?;
            }
            Transport::WebRtc(side) => {
                let path = side.leg.selected_path()?;
                let socket = side.socket(path.local)?;
                out.push_with(socket, path.remote, |slot| {
                    let len = fill(slot, slot.len().checked_sub(offhook_webrtc::srtp::GROWTH_MAX)?)?;
                    side.leg.send_rtp(slot, len).ok().map(|sending| sending.len)
                })?;
            }
        }
        sent
    }

    /// Sends a compound RTCP packet.
    pub(crate) fn send_rtcp(&mut self, out: &mut Outbox, packet: &[u8]) -> Option<usize> {
        match self {
            Transport::Rtp(side) => {
                let destination = side.rtcp_destination()?;
                let mux = side.negotiation.remote().is_some_and(|remote| remote.rtcp_mux);
                let socket: SocketToken = if mux { side.port.rtp } else { side.port.rtcp };
                out.push(socket, destination, packet);
                Some(packet.len())
            }
            Transport::WebRtc(side) => {
                let path = side.leg.selected_path()?;
                let socket = side.socket(path.local)?;
                out.push_with(socket, path.remote, |slot| {
                    slot.get_mut(..packet.len())?.copy_from_slice(packet);
                    side.leg
                        .send_rtcp(slot, packet.len())
                        .ok()
                        .map(|sending| sending.len)
                })
            }
        }
    }
}

/// The verdict on a description, as the control link says it.
pub(crate) fn sdp_error(leg: LegName, error: &OfferAnswerError) -> CommandError {
    let kind = match error {
        OfferAnswerError::NoCommonCodec => CommandErrorKind::NoCommonCodec,
        OfferAnswerError::WrongState { .. } => CommandErrorKind::WrongState,
        _ => CommandErrorKind::BadSdp,
    };
    let side = match leg {
        LegName::Client => "client",
        LegName::Carrier => "carrier",
    };
    CommandError {
        kind,
        message: format!("SDP of the {side}: {error}"),
    }
}

fn drop_of(reason: DropReason) -> Discard {
    match reason {
        DropReason::Stranger => Discard::Stranger,
        DropReason::UnknownClass | DropReason::Malformed | DropReason::TooManySources => Discard::Malformed,
        DropReason::BadStun | DropReason::BadIntegrity => Discard::BadStun,
        DropReason::BadTag => Discard::BadTag,
        DropReason::Replayed => Discard::Replayed,
        DropReason::NotReady | DropReason::Closed => Discard::NotReady,
    }
}
