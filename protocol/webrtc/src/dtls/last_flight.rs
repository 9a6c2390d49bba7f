//! The last flight of a handshake that we have finished and the peer, for all we know, has not.
//!
//! A peer that lost it sends its own last flight again and has to get ours again (RFC 6347 §4.2.4, RFC 9147 §5.8.3),
//! or its side of the call stays silent. The engine does that too, but pauses between answers for ever longer, so
//! that under heavy loss it can sleep through the few repetitions of a peer that backs off likewise.

use std::time::{Duration, Instant};

use super::DtlsOutput;

/// Shortest time between two answers: browsers repeat after 50 ms at first.
const ANSWER_GAP: Duration = Duration::from_millis(40);
/// Most answers: a peer's ten repetitions, doubled by the network, and some to spare.
const ANSWERS_MAX: u8 = 30;

/// Datagrams to answer a repeated flight with. At most a few hundred bytes.
#[derive(Debug)]
pub(super) struct LastFlight {
    datagrams: Vec<Vec<u8>>,
    sent_at: Instant,
    answers_left: u8,
}

impl LastFlight {
    /// Keeps the datagrams of the call that has finished the handshake; None if `outputs` is not that call's.
    pub(super) fn of(now: Instant, outputs: &[DtlsOutput]) -> Option<Self> {
        let is_done = outputs
            .iter()
            .any(|output| matches!(output, DtlsOutput::Connected));
        let datagrams = outputs.iter().filter_map(|output| match output {
            DtlsOutput::Datagram(bytes) => Some(bytes.clone()),
            _ => None,
        });
        is_done.then(|| Self {
            datagrams: datagrams.collect(),
            sent_at: now,
            answers_left: ANSWERS_MAX,
        })
    }

    /// Answers `datagram` if it repeats the peer's last flight and the engine, whose `outputs` these are, has not.
    pub(super) fn answer(&mut self, now: Instant, datagram: &[u8], outputs: &mut Vec<DtlsOutput>) {
        if outputs
            .iter()
            .any(|output| matches!(output, DtlsOutput::Datagram(_)))
        {
            self.sent_at = now;
            return;
        }
        if is_handshake(datagram) && self.answers_left > 0 && now >= self.sent_at + ANSWER_GAP {
            self.answers_left -= 1;
            self.sent_at = now;
            outputs.extend(self.datagrams.iter().cloned().map(DtlsOutput::Datagram));
        }
    }
}

/// Whether a datagram starts with a handshake record: unencrypted in DTLS 1.2, of epoch 2 in DTLS 1.3 (RFC 9147 §4).
fn is_handshake(datagram: &[u8]) -> bool {
    match *datagram {
        [22, _, _, 0, 0, ..] => true,
        [first, ..] => first & 0b1110_0011 == 0b0010_0010,
        [] => false,
    }
}
