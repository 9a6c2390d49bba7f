//! The two directions of SRTP: what a packet passes through, in order.

use std::fmt;

use offhook_rtp::{RtpPacket, Ssrc};

use super::cipher::{Cipher, RTCP_CLEAR_LEN, RtpPosition};
use super::keys::MasterKey;
use super::streams::{StreamState, Streams};
use super::{GROWTH_MAX, SrtpError, SrtpProfile};

/// What both directions have: keys, and the sources that used them.
struct Direction {
    master: MasterKey,
    streams: Streams,
    cipher: Cipher,
}

/// Unprotects what comes from a peer.
pub struct Inbound(Direction);

/// Protects what goes to a peer.
pub struct Outbound(Direction);

impl Direction {
    fn new(master: MasterKey, streams: &[StreamState]) -> Self {
        let cipher = Cipher::new(&master);
        Self {
            master,
            streams: Streams::resume(streams),
            cipher,
        }
    }

    /// Shows no key.
    fn debug(&self, formatter: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let mut shown = formatter.debug_struct(name);
        shown
            .field("master", &self.master)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Inbound {
    /// No source seen yet.
    pub fn new(master: MasterKey) -> Self {
        Self::resume(master, &[])
    }

    /// Goes on from another node's state.
    pub fn resume(master: MasterKey, streams: &[StreamState]) -> Self {
        Self(Direction::new(master, streams))
    }

    /// Unprotects an SRTP packet in place; the first bytes of `packet` up to the returned length are RTP.
    ///
    /// After an error the content of `packet` is undefined. A packet that is not authenticated changes no state.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let transform = &self.0.cipher.rtp;
        let (ssrc, sequence, header_len) = rtp_header(packet)?;
        if packet.len() < header_len + transform.tag_len() {
            return Err(SrtpError::Malformed);
        }
        let slot = self.0.streams.rtp_slot(ssrc, sequence)?;
        let len = transform.open_rtp(
            packet,
            RtpPosition {
                ssrc,
                index: slot.index,
                header_len,
            },
        )?;
        self.0.streams.accept_rtp(slot);
        Ok(len)
    }

    /// Unprotects an SRTCP packet in place, like [`Inbound::unprotect_rtp`].
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let transform = &self.0.cipher.rtcp;
        let ssrc = rtcp_ssrc(packet)?;
        let index = transform.rtcp_index(packet).ok_or(SrtpError::Malformed)?;
        let slot = self.0.streams.rtcp_slot(ssrc, u64::from(index))?;
        let len = transform.open_rtcp(packet, ssrc, index)?;
        self.0.streams.accept_rtcp(slot);
        Ok(len)
    }

    pub(super) fn master_key(&self) -> &MasterKey {
        &self.0.master
    }

    pub(super) fn streams(&self) -> Vec<StreamState> {
        self.0.streams.states()
    }
}

impl Outbound {
    /// Nothing sent yet.
    pub fn new(master: MasterKey) -> Self {
        Self::resume(master, &[])
    }

    /// Goes on from another node's state.
    pub fn resume(master: MasterKey, streams: &[StreamState]) -> Self {
        Self(Direction::new(master, streams))
    }

    /// The profile.
    pub fn profile(&self) -> SrtpProfile {
        self.0.master.profile()
    }

    /// Protects the RTP packet in `buffer[..len]` in place and returns its new length. The rollover counter follows the
    /// sequence numbers; one that was sent before is refused, as a second packet under one index would break the cipher.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = packet_with_room(buffer, len)?;
        let (ssrc, sequence, header_len) = rtp_header(packet)?;
        let slot = self.0.streams.rtp_slot(ssrc, sequence).map_err(repeated)?;
        let at = RtpPosition {
            ssrc,
            index: slot.index,
            header_len,
        };
        let len = self.0.cipher.rtp.seal_rtp(buffer, len, at)?;
        self.0.streams.accept_rtp(slot);
        Ok(len)
    }

    /// Protects the compound in `buffer[..len]` in place and returns its new length.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet_with_room(buffer, len)?)?;
        let slot = self.0.streams.next_rtcp_slot(ssrc)?;
        // An SRTCP index has 31 bits.
        let len = self
            .0
            .cipher
            .rtcp
            .seal_rtcp(buffer, len, ssrc, slot.index as u32)?;
        self.0.streams.accept_rtcp(slot);
        Ok(len)
    }

    pub(super) fn master_key(&self) -> &MasterKey {
        &self.0.master
    }

    pub(super) fn streams(&self) -> Vec<StreamState> {
        self.0.streams.states()
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(formatter, "Inbound")
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug(formatter, "Outbound")
    }
}

/// SSRC, sequence number and header length. Padding is encrypted, so it cannot be checked yet.
fn rtp_header(packet: &[u8]) -> Result<(Ssrc, u16, usize), SrtpError> {
    let (fields, header_len) = RtpPacket::parse_header(packet).map_err(|_| SrtpError::Malformed)?;
    Ok((fields.ssrc, fields.sequence, header_len))
}

fn rtcp_ssrc(packet: &[u8]) -> Result<Ssrc, SrtpError> {
    match packet.first_chunk::<RTCP_CLEAR_LEN>() {
        Some([first, _, _, _, ssrc @ ..]) if first >> 6 == 2 => Ok(Ssrc(u32::from_be_bytes(*ssrc))),
        _ => Err(SrtpError::Malformed),
    }
}

fn packet_with_room(buffer: &[u8], len: usize) -> Result<&[u8], SrtpError> {
    match buffer.get(..len) {
        Some(packet) if buffer.len() - len >= GROWTH_MAX => Ok(packet),
        _ => Err(SrtpError::NoRoom),
    }
}

fn repeated(error: SrtpError) -> SrtpError {
    if error == SrtpError::Replayed {
        SrtpError::Repeated
    } else {
        error
    }
}
