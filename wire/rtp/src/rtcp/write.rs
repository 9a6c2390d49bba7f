//! Writing compound RTCP.

use super::{BYE, HEADER_LEN, REPORT_BLOCKS_MAX, RR, ReportBlock, SDES, SDES_CNAME, SR, SenderInfo};
use crate::Ssrc;

/// Longest CNAME or reason, in bytes (a length of one byte); longer ones are cut.
pub const SDES_TEXT_LEN_MAX: usize = 255;

/// Appends RTCP packets to a buffer. RFC 3550 §6.1 wants an SR or RR first and then the CNAME.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> CompoundWriter<'a> {
    /// Appends to `out`, which keeps what it has.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Adds an SR with the first [`REPORT_BLOCKS_MAX`] of `reports`.
    pub fn sender_report(&mut self, ssrc: Ssrc, info: &SenderInfo, reports: &[ReportBlock]) -> &mut Self {
        let reports = &reports[..reports.len().min(REPORT_BLOCKS_MAX)];
        let start = self.begin(reports.len(), SR);
        self.word(ssrc.0);
        self.out.extend(info.ntp.0.to_be_bytes());
        self.word(info.rtp_timestamp);
        self.word(info.packets);
        self.word(info.octets);
        self.report_blocks(reports);
        self.end(start)
    }

    /// Adds an RR with the first [`REPORT_BLOCKS_MAX`] of `reports`.
    pub fn receiver_report(&mut self, ssrc: Ssrc, reports: &[ReportBlock]) -> &mut Self {
        let reports = &reports[..reports.len().min(REPORT_BLOCKS_MAX)];
        let start = self.begin(reports.len(), RR);
        self.word(ssrc.0);
        self.report_blocks(reports);
        self.end(start)
    }

    /// Adds an SDES with the canonical name of one source, which is to be random (RFC 7022).
    pub fn cname(&mut self, ssrc: Ssrc, cname: &str) -> &mut Self {
        let start = self.begin(1, SDES);
        self.word(ssrc.0);
        self.out.push(SDES_CNAME);
        self.text(cname);
        self.out.push(0);
        self.end(start)
    }

    /// Adds a BYE of one source.
    pub fn goodbye(&mut self, ssrc: Ssrc, reason: Option<&str>) -> &mut Self {
        let start = self.begin(1, BYE);
        self.word(ssrc.0);
        if let Some(reason) = reason {
            self.text(reason);
        }
        self.end(start)
    }

    fn begin(&mut self, count: usize, packet_type: u8) -> usize {
        let start = self.out.len();
        // Counts are at most REPORT_BLOCKS_MAX, five bits.
        self.out.extend([0x80 | count as u8, packet_type, 0, 0]);
        start
    }

    /// Fills up to a word and writes the length.
    fn end(&mut self, start: usize) -> &mut Self {
        let len = (self.out.len() - start).next_multiple_of(4);
        self.out.resize(start + len, 0);
        let words = ((len - HEADER_LEN) / 4) as u16;
        self.out[start + 2..start + HEADER_LEN].copy_from_slice(&words.to_be_bytes());
        self
    }

    fn word(&mut self, word: u32) {
        self.out.extend(word.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        let text = &text.as_bytes()[..text.floor_char_boundary(SDES_TEXT_LEN_MAX)];
        self.out.push(text.len() as u8);
        self.out.extend(text);
    }

    fn report_blocks(&mut self, reports: &[ReportBlock]) {
        for report in reports {
            let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            self.word(report.ssrc.0);
            self.word(u32::from(report.fraction_lost) << 24 | lost);
            self.word(report.highest_sequence);
            self.word(report.jitter);
            self.word(report.last_sr);
            self.word(report.delay_since_last_sr);
        }
    }
}
