//! Reading compound RTCP (RFC 3550 §A.2; reduced size by RFC 5506 is tolerated).

use super::{BYE, HEADER_LEN, REPORT_BLOCK_LEN, RR, ReportBlock, SDES, SDES_CNAME, SR, SenderInfo};
use crate::{NtpTime, Ssrc};

/// Why bytes are not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A packet's length field does not fit.
    #[error("RTCP packet at byte {at} does not fit its datagram of {len} bytes")]
    Length {
        /// Where the packet starts.
        at: usize,
        /// Length of the datagram.
        len: usize,
    },
    /// Not version 2.
    #[error("RTCP version {version} at byte {at}, only 2 is known")]
    Version {
        /// Where the packet starts.
        at: usize,
        /// What the first two bits said.
        version: u8,
    },
    /// Padding before the last packet, or more than there is.
    #[error("RTCP padding at byte {at} is not allowed or does not fit")]
    Padding {
        /// Where the packet starts.
        at: usize,
    },
    /// The packet's type is known, but its content is cut short.
    #[error("RTCP packet of type {packet_type} at byte {at} is cut short")]
    Content {
        /// Where the packet starts.
        at: usize,
        /// Its type.
        packet_type: u8,
    },
}

/// A datagram of RTCP packets, checked as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks versions, lengths, padding and the content of known types in every packet of the datagram.
    ///
    /// That the first packet is an SR or RR is not demanded: RFC 5506 lets feedback travel alone.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        let mut at = 0;
        loop {
            let frame = Frame::split(bytes, at)?;
            frame.read().ok_or(RtcpError::Content {
                at,
                packet_type: frame.packet_type,
            })?;
            at = frame.end;
            if at == bytes.len() {
                return Ok(Self { bytes });
            }
        }
    }

    /// The packets in order; unknown types come as [`Packet::Unknown`].
    pub fn packets(&self) -> impl Iterator<Item = Packet<'a>> + 'a {
        let bytes = self.bytes;
        let mut at = 0;
        std::iter::from_fn(move || {
            // `parse` has walked the same way, so this ends at the end of the datagram and nowhere else.
            let frame = Frame::split(bytes, at).ok()?;
            at = frame.end;
            frame.read()
        })
    }
}

/// One RTCP packet.
#[derive(Debug, Clone)]
pub enum Packet<'a> {
    /// SR, type 200.
    SenderReport {
        /// Who reports.
        ssrc: Ssrc,
        /// What it has sent.
        info: SenderInfo,
        /// What it has received.
        reports: ReportBlocks<'a>,
    },
    /// RR, type 201.
    ReceiverReport {
        /// Who reports.
        ssrc: Ssrc,
        /// What it has received.
        reports: ReportBlocks<'a>,
    },
    /// SDES, type 202.
    SourceDescription(SdesChunks<'a>),
    /// BYE, type 203.
    Goodbye {
        /// Who leaves.
        sources: Ssrcs<'a>,
        /// Why, as UTF-8 of the peer's choice.
        reason: Option<&'a [u8]>,
    },
    /// Feedback, APP, XR and what is not known: skipped.
    Unknown {
        /// The packet's type.
        packet_type: u8,
    },
}

/// Report blocks of an SR or RR.
#[derive(Debug, Clone)]
pub struct ReportBlocks<'a>(std::slice::Iter<'a, [u8; REPORT_BLOCK_LEN]>);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let mut reader = Reader(self.0.next()?);
        let ssrc = Ssrc(reader.word()?);
        let lost = reader.word()?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost >> 24) as u8,
            // Sign-extends the lower 24 bits.
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_sequence: reader.word()?,
            jitter: reader.word()?,
            last_sr: reader.word()?,
            delay_since_last_sr: reader.word()?,
        })
    }
}

/// Sources of a BYE.
#[derive(Debug, Clone)]
pub struct Ssrcs<'a>(std::slice::Iter<'a, [u8; 4]>);

impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        self.0.next().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}

/// Chunks of an SDES.
#[derive(Debug, Clone)]
pub struct SdesChunks<'a> {
    rest: Reader<'a>,
    left: u8,
}

/// What one source says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// Its canonical name, as UTF-8 of the peer's choice.
    pub cname: Option<&'a [u8]>,
}

impl<'a> Iterator for SdesChunks<'a> {
    type Item = SdesChunk<'a>;

    fn next(&mut self) -> Option<SdesChunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let before = self.rest.0.len();
        let mut chunk = SdesChunk {
            ssrc: Ssrc(self.rest.word()?),
            cname: None,
        };
        loop {
            let item = self.rest.byte()?;
            if item == 0 {
                break;
            }
            let len = self.rest.byte()?;
            let text = self.rest.take(usize::from(len))?;
            if item == SDES_CNAME && chunk.cname.is_none() {
                chunk.cname = Some(text);
            }
        }
        // The list of items ends with one to four zero bytes, at a 32-bit boundary.
        let used = before - self.rest.0.len();
        self.rest.take(used.next_multiple_of(4) - used)?;
        Some(chunk)
    }
}

/// One packet cut out of a datagram.
struct Frame<'a> {
    count: u8,
    packet_type: u8,
    body: &'a [u8],
    /// Where the next packet starts.
    end: usize,
}

impl<'a> Frame<'a> {
    fn split(datagram: &'a [u8], at: usize) -> Result<Self, RtcpError> {
        let length = RtcpError::Length {
            at,
            len: datagram.len(),
        };
        let rest = datagram.get(at..).ok_or(length)?;
        let [first, packet_type, l0, l1] = *rest.first_chunk::<HEADER_LEN>().ok_or(length)?;
        if first >> 6 != 2 {
            return Err(RtcpError::Version {
                at,
                version: first >> 6,
            });
        }
        let len = HEADER_LEN + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let mut body = rest.get(HEADER_LEN..len).ok_or(length)?;
        if first & 0x20 != 0 {
            let padding = usize::from(body.last().copied().unwrap_or(0));
            let is_last = len == rest.len();
            if !is_last || padding == 0 || !padding.is_multiple_of(4) || padding > body.len() {
                return Err(RtcpError::Padding { at });
            }
            body = &body[..body.len() - padding];
        }
        Ok(Self {
            count: first & 0x1f,
            packet_type,
            body,
            end: at + len,
        })
    }

    /// None if the content of a known type is cut short.
    fn read(&self) -> Option<Packet<'a>> {
        let mut body = Reader(self.body);
        match self.packet_type {
            SR => {
                let ssrc = Ssrc(body.word()?);
                let ntp = NtpTime(u64::from(body.word()?) << 32 | u64::from(body.word()?));
                let info = SenderInfo {
                    ntp,
                    rtp_timestamp: body.word()?,
                    packets: body.word()?,
                    octets: body.word()?,
                };
                Some(Packet::SenderReport {
                    ssrc,
                    info,
                    reports: body.report_blocks(self.count)?,
                })
            }
            RR => {
                let ssrc = Ssrc(body.word()?);
                Some(Packet::ReceiverReport {
                    ssrc,
                    reports: body.report_blocks(self.count)?,
                })
            }
            SDES => {
                let chunks = SdesChunks {
                    rest: body,
                    left: self.count,
                };
                let whole = chunks.clone().count() == usize::from(self.count);
                whole.then_some(Packet::SourceDescription(chunks))
            }
            BYE => {
                let sources = body.take(4 * usize::from(self.count))?.as_chunks::<4>().0;
                let reason = match body.byte() {
                    Some(len) => Some(body.take(usize::from(len))?),
                    None => None,
                };
                Some(Packet::Goodbye {
                    sources: Ssrcs(sources.iter()),
                    reason,
                })
            }
            packet_type => Some(Packet::Unknown { packet_type }),
        }
    }
}

/// Takes bytes from the front.
#[derive(Debug, Clone)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn report_blocks(&mut self, count: u8) -> Option<ReportBlocks<'a>> {
        let blocks = self.take(usize::from(count) * REPORT_BLOCK_LEN)?;
        Some(ReportBlocks(blocks.as_chunks::<REPORT_BLOCK_LEN>().0.iter()))
    }
}
