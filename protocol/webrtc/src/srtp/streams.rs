//! Per-source state: packet index with its rollover counter, and the window against replay (RFC 3711 §3.3).

use offhook_rtp::Ssrc;
use smallvec::SmallVec;

use super::SrtpError;

/// Most sources under one key. A voice leg has one or two a direction; renegotiation and RTCP of other senders add a few.
/// A source costs memory only after a packet of it was authenticated.
pub const SOURCES_MAX: usize = 32;

/// Highest RTP index: 32 bits of rollover counter and 16 of sequence number.
const RTP_INDEX_MAX: u64 = (1 << 48) - 1;
/// Highest SRTCP index: 31 bits.
const RTCP_INDEX_MAX: u64 = (1 << 31) - 1;
/// Size of the replay window, in packets.
const WINDOW: u64 = 128;

/// State of one source, as it travels between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// The source.
    pub ssrc: Ssrc,
    /// RTP packets.
    pub rtp: Window,
    /// RTCP packets.
    pub rtcp: Window,
}

/// Indexes that were used: the highest, and which of the 128 up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Highest index; `seen` tells whether there was any.
    pub highest: u64,
    /// Bit n stands for `highest - n`; zero if there was none yet.
    pub seen: u128,
}

impl Window {
    /// Refuses an index that was used or is too old to know.
    fn check(&self, index: u64) -> Result<(), SrtpError> {
        if self.seen == 0 || index > self.highest {
            return Ok(());
        }
        let age = self.highest - index;
        if age >= WINDOW || self.seen & (1 << age) != 0 {
            return Err(SrtpError::Replayed);
        }
        Ok(())
    }

    fn mark(&mut self, index: u64) {
        if self.seen == 0 {
            *self = Self {
                highest: index,
                seen: 1,
            };
        } else if index > self.highest {
            let shift = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = index;
        } else {
            // `check` came first, so the age is within the window.
            self.seen |= 1 << (self.highest - index).min(WINDOW - 1);
        }
    }

    /// Index of an RTP sequence number: the one nearest to the highest (§3.3.1). A source starts with rollover counter 0.
    fn estimate(&self, sequence: u16) -> Result<u64, SrtpError> {
        if self.seen == 0 {
            return Ok(u64::from(sequence));
        }
        let ahead = sequence.wrapping_sub(self.highest as u16).cast_signed();
        let index = self
            .highest
            .checked_add_signed(i64::from(ahead))
            .ok_or(SrtpError::Replayed)?;
        if index > RTP_INDEX_MAX {
            Err(SrtpError::KeyExhausted)
        } else {
            Ok(index)
        }
    }
}

/// The sources of one direction; a handful, so a list is searched.
#[derive(Debug, Default)]
pub(super) struct Streams(SmallVec<[StreamState; 2]>);

/// An index that passed the checks; give it to [`Streams::accept`] once the packet is authenticated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Where the source is, or would be.
    at: usize,
    pub(super) ssrc: Ssrc,
    pub(super) index: u64,
}

impl Streams {
    pub(super) fn resume(states: &[StreamState]) -> Self {
        Self(states.iter().take(SOURCES_MAX).copied().collect())
    }

    pub(super) fn states(&self) -> Vec<StreamState> {
        self.0.to_vec()
    }

    /// Estimates the index of an RTP packet and checks it against the window.
    pub(super) fn rtp_slot(&self, ssrc: Ssrc, sequence: u16) -> Result<Slot, SrtpError> {
        let at = self.find(ssrc)?;
        let index = match self.0.get(at) {
            Some(stream) => {
                let index = stream.rtp.estimate(sequence)?;
                stream.rtp.check(index)?;
                index
            }
            None => u64::from(sequence),
        };
        Ok(Slot { at, ssrc, index })
    }

    /// Checks the index that an SRTCP packet carries.
    pub(super) fn rtcp_slot(&self, ssrc: Ssrc, index: u64) -> Result<Slot, SrtpError> {
        let at = self.find(ssrc)?;
        if let Some(stream) = self.0.get(at) {
            stream.rtcp.check(index)?;
        }
        Ok(Slot { at, ssrc, index })
    }

    /// The next SRTCP index of a source of ours; the first is 1, as 0 would be mistaken for "none" by some receivers.
    pub(super) fn next_rtcp_slot(&self, ssrc: Ssrc) -> Result<Slot, SrtpError> {
        let at = self.find(ssrc)?;
        let index = self.0.get(at).map_or(0, |stream| stream.rtcp.highest) + 1;
        if index > RTCP_INDEX_MAX {
            Err(SrtpError::KeyExhausted)
        } else {
            Ok(Slot { at, ssrc, index })
        }
    }

    /// Marks an RTP index as used.
    pub(super) fn accept_rtp(&mut self, slot: Slot) {
        let index = slot.index;
        self.stream(slot).rtp.mark(index);
    }

    /// Marks an SRTCP index as used.
    pub(super) fn accept_rtcp(&mut self, slot: Slot) {
        let index = slot.index;
        self.stream(slot).rtcp.mark(index);
    }

    fn find(&self, ssrc: Ssrc) -> Result<usize, SrtpError> {
        let at = self
            .0
            .iter()
            .position(|stream| stream.ssrc == ssrc)
            .unwrap_or(self.0.len());
        if at == SOURCES_MAX {
            Err(SrtpError::TooManySources)
        } else {
            Ok(at)
        }
    }

    fn stream(&mut self, slot: Slot) -> &mut StreamState {
        if slot.at == self.0.len() {
            self.0.push(StreamState {
                ssrc: slot.ssrc,
                rtp: Window::default(),
                rtcp: Window::default(),
            });
        }
        &mut self.0[slot.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSRC: Ssrc = Ssrc(7);

    fn accept(streams: &mut Streams, sequence: u16) -> Result<u64, SrtpError> {
        let slot = streams.rtp_slot(SSRC, sequence)?;
        streams.accept_rtp(slot);
        Ok(slot.index)
    }

    #[test]
    fn section_3_3_1_the_rollover_counter_follows_the_wrap_both_ways() {
        let mut streams = Streams::default();
        for (sequence, index) in [
            (65_534, 65_534),
            (0, 65_536),
            (65_535, 65_535),
            (1, 65_537),
            (32_768, 98_304),
            (0x8001, 98_305),
        ] {
            assert_eq!(accept(&mut streams, sequence), Ok(index), "{sequence}");
        }
        assert_eq!(accept(&mut streams, 1), Err(SrtpError::Replayed));
        assert_eq!(accept(&mut streams, 0), Ok(131_072));
    }

    #[test]
    fn before_the_first_index_there_is_none() {
        let mut streams = Streams::default();
        accept(&mut streams, 5).unwrap();
        assert_eq!(accept(&mut streams, 65_535), Err(SrtpError::Replayed));
    }

    #[test]
    fn section_3_3_2_each_index_once_within_the_window() {
        let mut streams = Streams::default();
        accept(&mut streams, 1_000).unwrap();
        for age in (1..WINDOW as u16).rev() {
            assert_eq!(accept(&mut streams, 1_000 - age), Ok(u64::from(1_000 - age)));
            assert_eq!(accept(&mut streams, 1_000 - age), Err(SrtpError::Replayed));
        }
        assert_eq!(accept(&mut streams, 1_000), Err(SrtpError::Replayed));
        assert_eq!(
            accept(&mut streams, 1_000 - WINDOW as u16),
            Err(SrtpError::Replayed),
            "too old"
        );
        assert_eq!(accept(&mut streams, 5_000), Ok(5_000));
        assert_eq!(
            accept(&mut streams, 4_999),
            Ok(4_999),
            "a jump empties the window"
        );
    }

    #[test]
    fn the_key_ends_with_its_indexes() {
        let state = |rtp, rtcp| StreamState {
            ssrc: SSRC,
            rtp: Window {
                highest: rtp,
                seen: 1,
            },
            rtcp: Window {
                highest: rtcp,
                seen: 1,
            },
        };
        let mut streams = Streams::resume(&[state(RTP_INDEX_MAX - 1, RTCP_INDEX_MAX - 1)]);
        assert_eq!(accept(&mut streams, 0xffff), Ok(RTP_INDEX_MAX));
        assert_eq!(accept(&mut streams, 0), Err(SrtpError::KeyExhausted));
        let slot = streams.next_rtcp_slot(SSRC).unwrap();
        streams.accept_rtcp(slot);
        assert_eq!(streams.next_rtcp_slot(SSRC).unwrap_err(), SrtpError::KeyExhausted);
    }

    #[test]
    fn sources_are_bounded_and_known_ones_go_on() {
        let mut streams = Streams::default();
        for ssrc in 0..SOURCES_MAX as u32 {
            let slot = streams.rtp_slot(Ssrc(ssrc), 1).unwrap();
            streams.accept_rtp(slot);
        }
        assert_eq!(
            streams.rtp_slot(Ssrc(99), 1).unwrap_err(),
            SrtpError::TooManySources
        );
        assert_eq!(
            streams.next_rtcp_slot(Ssrc(99)).unwrap_err(),
            SrtpError::TooManySources
        );
        assert!(streams.rtp_slot(Ssrc(3), 2).is_ok());
    }
}
