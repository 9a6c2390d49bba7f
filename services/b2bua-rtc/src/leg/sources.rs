//! Which of a peer's sources is heard (RFC 3550 §8). We send one stream on, so of several that overlap one has to be
//! chosen: two that take turns would tear each other's audio.
//!
//! The newest one wins: who answers after an announcement, a branch that rings later, what is played into a call. An older
//! one is heard again when all newer ones have been silent for a while, or have said goodbye.

use offhook_rtp::Ssrc;
use smallvec::SmallVec;
use std::time::{Duration, Instant};

/// Sources of one peer that are told apart: as many as browsers play at a time. One more is heard only in the place of one
/// that is silent.
const SOURCES_MAX: usize = 4;
/// A source is silent when nothing came for so long: five packets, more than usual jitter.
const SILENT: Duration = Duration::from_millis(100);

/// The sources of a peer.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The oldest first.
    known: SmallVec<[Source; 1]>,
    /// Which of them is heard.
    heard: usize,
}

#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    /// When its latest packet came.
    at: Instant,
}

impl Sources {
    /// Notes an audio packet. True if its source is the one that is heard.
    #[inline]
    pub(super) fn hears(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        match self.known.get_mut(self.heard) {
            Some(heard) if heard.ssrc == ssrc => {
                heard.at = now;
                true
            }
            heard => {
                let is_silent = heard.is_none_or(|heard| heard.is_silent(now));
                self.choose(now, ssrc, is_silent)
            }
        }
    }

    /// Notes a packet that is no audio, such as a digit. False if it is of another source than the one that is heard.
    pub(super) fn goes_on(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        let Some(heard) = self.known.get_mut(self.heard) else {
            return true;
        };
        if heard.ssrc == ssrc {
            heard.at = now;
        }
        heard.ssrc == ssrc
    }

    /// A source has ended; the newest of the others is heard.
    pub(super) fn goodbye(&mut self, ssrc: Ssrc) {
        if let Some(place) = self.known.iter().position(|source| source.ssrc == ssrc) {
            self.forget(place);
        }
    }

    fn choose(&mut self, now: Instant, ssrc: Ssrc, is_silent: bool) -> bool {
        if let Some(place) = self.known.iter().position(|source| source.ssrc == ssrc) {
            self.known[place].at = now;
            if place < self.heard && !is_silent {
                return false;
            }
            self.heard = place;
            return true;
        }
        if self.known.len() == SOURCES_MAX {
            let Some(place) = self.known.iter().position(|source| source.is_silent(now)) else {
                return false;
            };
            self.forget(place);
        }
        self.known.push(Source { ssrc, at: now });
        self.heard = self.known.len() - 1;
        true
    }

    fn forget(&mut self, place: usize) {
        self.known.remove(place);
        if place == self.heard {
            self.heard = self.known.len().saturating_sub(1);
        } else if place < self.heard {
            self.heard -= 1;
        }
    }
}

impl Source {
    fn is_silent(&self, now: Instant) -> bool {
        self.at + SILENT <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_straggler_of_the_source_before_changes_nothing() {
        let start = Instant::now();
        let mut sources = Sources::default();
        assert!(sources.goes_on(start, Ssrc(1)), "nothing is known of any yet");
        assert!(sources.hears(start, Ssrc(1)));
        assert!(sources.hears(start + ms(20), Ssrc(2)), "at once");
        assert!(!sources.hears(start + ms(21), Ssrc(1)));
        assert!(sources.hears(start + ms(40), Ssrc(2)));
        assert!(sources.hears(start + ms(140), Ssrc(1)), "100 ms of silence");
        assert!(
            sources.hears(start + ms(141), Ssrc(2)),
            "it is still the newer one"
        );
    }

    #[test]
    fn of_more_sources_than_are_told_apart_those_that_speak_stay() {
        let start = Instant::now();
        let mut sources = Sources::default();
        for ssrc in 0..1_000 {
            sources.hears(start, Ssrc(ssrc));
        }
        assert_eq!(sources.known.len(), SOURCES_MAX);
        assert!(sources.hears(start + ms(50), Ssrc(3)));
        assert!(
            sources.hears(start + ms(100), Ssrc(9)),
            "in the place of the silent first"
        );
        assert!(!sources.hears(start + ms(101), Ssrc(3)));
        sources.goodbye(Ssrc(7));
        sources.goodbye(Ssrc(9));
        assert!(sources.hears(start + ms(102), Ssrc(3)));
        for ssrc in 0..1_000 {
            sources.goodbye(Ssrc(ssrc));
        }
        assert!(sources.hears(start + ms(103), Ssrc(4)));
    }
}
