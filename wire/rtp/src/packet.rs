//! The RTP packet (RFC 3550 §5.1): a checked view.

use crate::Ssrc;

/// Length of the header without CSRC list and extension, in bytes.
pub const FIXED_HEADER_LEN: usize = 12;

/// Version 2 in the top two bits.
const VERSION_BITS: u8 = 0x80;
const PADDING_BIT: u8 = 0x20;
const EXTENSION_BIT: u8 = 0x10;
const CSRC_COUNT_MASK: u8 = 0x0f;
const MARKER_BIT: u8 = 0x80;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than the header says it is, in bytes.
    #[error("RTP packet of {len} bytes ends inside its header")]
    TooShort {
        /// Bytes there are.
        len: usize,
    },
    /// Not version 2.
    #[error("RTP version {version}, only 2 is known")]
    Version {
        /// What the first two bits said.
        version: u8,
    },
    /// The last byte counts more padding than there is payload, or none.
    #[error("RTP padding of {padding} bytes does not fit a payload of {payload}")]
    Padding {
        /// Count in the last byte.
        padding: u8,
        /// Bytes after the header.
        payload: usize,
    },
}

/// The fields of the fixed header that a relay sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpFields {
    /// Marker bit: start of a talkspurt or of an event.
    pub marker: bool,
    /// Payload type, 0 to 127; the top bit is ignored.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media timestamp, in units of the payload's clock rate.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: Ssrc,
}

impl RtpFields {
    /// Makes a header without padding, extension and CSRC list.
    pub fn to_header(&self) -> [u8; FIXED_HEADER_LEN] {
        let mut header = [0; FIXED_HEADER_LEN];
        header[0] = VERSION_BITS;
        header[1] = (u8::from(self.marker) << 7) | (self.payload_type & !MARKER_BIT);
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        header
    }

    fn read(header: &[u8; FIXED_HEADER_LEN]) -> Self {
        let [_, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *header;
        Self {
            marker: second & MARKER_BIT != 0,
            payload_type: second & !MARKER_BIT,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([r0, r1, r2, r3])),
        }
    }
}

/// A checked view of one packet.
#[derive(Debug, Clone, Copy)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    fields: RtpFields,
    payload_start: usize,
    payload_end: usize,
}

impl<'a> RtpPacket<'a> {
    /// Checks version, CSRC list, extension and padding against the length.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let (fields, payload_start) = read_header(bytes)?;
        let payload_end = payload_end(bytes, payload_start)?;
        Ok(Self {
            bytes,
            fields,
            payload_start,
            payload_end,
        })
    }

    /// Checks and reads the header alone and returns it with its length: all that can be said of an SRTP packet, whose
    /// padding is encrypted.
    pub fn parse_header(bytes: &[u8]) -> Result<(RtpFields, usize), RtpError> {
        read_header(bytes)
    }

    /// The fixed header's fields.
    pub fn fields(&self) -> RtpFields {
        self.fields
    }

    /// Payload without padding.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload_start..self.payload_end]
    }
}

/// Reads the fixed header and finds where the payload starts.
fn read_header(bytes: &[u8]) -> Result<(RtpFields, usize), RtpError> {
    let too_short = RtpError::TooShort { len: bytes.len() };
    let header = bytes.first_chunk::<FIXED_HEADER_LEN>().ok_or(too_short)?;
    if header[0] & 0xc0 != VERSION_BITS {
        return Err(RtpError::Version {
            version: header[0] >> 6,
        });
    }
    let mut start = FIXED_HEADER_LEN + 4 * usize::from(header[0] & CSRC_COUNT_MASK);
    if header[0] & EXTENSION_BIT != 0 {
        // Profile (one-byte 0xBEDE, two-byte 0x100_, or any other) and length in words; the content is skipped.
        let words = bytes.get(start + 2..start + 4).ok_or(too_short)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    if start > bytes.len() {
        return Err(too_short);
    }
    Ok((RtpFields::read(header), start))
}

/// Finds where the payload ends, before any padding.
fn payload_end(bytes: &[u8], payload_start: usize) -> Result<usize, RtpError> {
    if bytes[0] & PADDING_BIT == 0 {
        return Ok(bytes.len());
    }
    let payload = bytes.len() - payload_start;
    let padding = if payload == 0 { 0 } else { bytes[bytes.len() - 1] };
    if padding == 0 || usize::from(padding) > payload {
        return Err(RtpError::Padding { padding, payload });
    }
    Ok(bytes.len() - usize::from(padding))
}

#[cfg(test)]
mod tests;
