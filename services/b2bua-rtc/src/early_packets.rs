//! Media that comes before the description of who sends it. It takes the short way and signalling the long one, so whoever
//! has offered has to be ready for it (RFC 3264 §5.1): without this the first word of who answers would be cut.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most packets that wait: 100 ms of audio. Older ones would only delay what follows.
pub(crate) const EARLY_PACKETS_MAX: usize = 5;
/// How long a packet may wait.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The newest packets that came to a port whose peer is not described yet.
#[derive(Debug, Default)]
pub(crate) struct EarlyPackets(VecDeque<EarlyPacket>);

/// One of them.
#[derive(Debug)]
pub(crate) struct EarlyPacket {
    at: Instant,
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// Its bytes.
    pub(crate) bytes: Box<[u8]>,
}

impl EarlyPackets {
    /// Keeps a packet. False if another one had to go for it.
    pub(crate) fn keep(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) -> bool {
        let is_full = self.0.len() == EARLY_PACKETS_MAX;
        if is_full {
            self.0.pop_front();
        }
        self.0.push_back(EarlyPacket {
            at: now,
            source,
            bytes: bytes.into(),
        });
        !is_full
    }

    /// The oldest one that is still worth being heard.
    pub(crate) fn next(&mut self, now: Instant) -> Option<EarlyPacket> {
        while let Some(packet) = self.0.pop_front() {
            if packet.at + WAIT_MAX > now {
                return Some(packet);
            }
        }
        None
    }

    /// True if none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
