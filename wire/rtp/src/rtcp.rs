//! RTCP (RFC 3550 §6): compound packets read without allocating, and written.

mod read;
mod write;

pub use read::{Compound, Packet, ReportBlocks, RtcpError, SdesChunk, SdesChunks, Ssrcs};
pub use write::{CompoundWriter, SDES_TEXT_LEN_MAX};

use crate::{NtpTime, Ssrc};

/// Report blocks that fit one SR or RR (a count of five bits).
pub const REPORT_BLOCKS_MAX: usize = 31;

const HEADER_LEN: usize = 4;
const REPORT_BLOCK_LEN: usize = 24;
const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const SDES_CNAME: u8 = 1;

/// The sender's part of an SR (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock when it was sent.
    pub ntp: NtpTime,
    /// The same moment on the stream's media clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// What one receiver says of one source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source it is about.
    pub ssrc: Ssrc,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the start; 24 bits signed.
    pub cumulative_lost: i32,
    /// Extended highest sequence number.
    pub highest_sequence: u32,
    /// Interarrival jitter, in units of the media clock.
    pub jitter: u32,
    /// Middle 32 bits of the last SR's NTP time; 0 if none came.
    pub last_sr: u32,
    /// Delay since that SR, in 1/65536 s; 0 if none came.
    pub delay_since_last_sr: u32,
}

#[cfg(test)]
mod tests;
