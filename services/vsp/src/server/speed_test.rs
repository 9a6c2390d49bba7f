//! The SDK's speed test: it sends a volume of filler and wants to know how long that took, and how long as much takes back.

use super::Server;
use crate::output::{ConnectionId, Output};
use offhook_rpc_message::SpeedTest;
use std::time::{Duration, Instant};

/// Largest volume of one test in bytes; tests of more are ignored.
const VOLUME_MAX: u64 = 4 * 1024 * 1024;
/// How much of it is sent back: what a socket's queue takes at once. The time is then told for the whole volume.
const SENT_BACK_MAX: u64 = 256 * 1024;
/// Bytes of one frame of filler.
const FILLER_LEN: usize = 16 * 1024;
const FILLER_PREFIX: &str = "#SPB ";

/// How far a test is.
#[derive(Debug)]
pub(crate) enum Test {
    /// Filler comes.
    Up {
        started: Instant,
        volume: u64,
        /// Bytes that may still come without counting as requests.
        left: u64,
    },
    /// Filler was sent; the client's next ping shows that it has read it.
    Down {
        started: Instant,
        volume: u64,
        sent: u64,
    },
}

impl Test {
    /// Whether `text` is filler that was announced, and therefore no request.
    pub(crate) fn expects(&mut self, text: &str) -> bool {
        // A frame holds somewhat more than its share of the volume.
        let len = text.len() as u64;
        match self {
            Test::Up { left, .. } if text.starts_with("#SP") && *left >= len => {
                *left -= len;
                true
            }
            _ => false,
        }
    }
}

impl Server {
    /// A step of a client that has logged in; of others nothing is done.
    pub(super) fn on_speed_test(&mut self, now: Instant, id: ConnectionId, step: SpeedTest) {
        let Some(connection) = self
            .connections
            .get_mut(&id)
            .filter(|connection| connection.session().is_some())
        else {
            return;
        };
        match (step, &connection.speed_test) {
            (SpeedTest::Start { bytes }, _) if (1..=VOLUME_MAX).contains(&bytes) => {
                connection.speed_test = Some(Test::Up {
                    started: now,
                    volume: bytes,
                    left: announced(bytes),
                });
            }
            (
                SpeedTest::End,
                Some(Test::Up {
                    started,
                    volume,
                    left,
                }),
            ) => {
                let (elapsed, volume) = (now.saturating_duration_since(*started), *volume);
                // No more than has come: two short lines shall not cost us a volume.
                let came = announced(volume) - *left;
                let sent = volume.min(SENT_BACK_MAX).min(came.max(1));
                connection.speed_test = Some(Test::Down {
                    started: now,
                    volume,
                    sent,
                });
                self.send_raw(id, format!("#SPU{}", milliseconds(elapsed)));
                let mut left = sent as usize;
                while left > 0 {
                    let len = left.min(FILLER_LEN);
                    self.send_raw(id, format!("{FILLER_PREFIX}{}", ".".repeat(len)));
                    left -= len;
                }
                self.ping(id);
            }
            _ => {}
        }
    }

    /// The client has read all that was sent before our ping.
    pub(super) fn on_client_ping(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match connection.speed_test.take() {
            Some(Test::Down {
                started,
                volume,
                sent,
            }) => {
                let elapsed = now
                    .saturating_duration_since(started)
                    .mul_f64(volume as f64 / sent as f64);
                self.send_raw(id, format!("#SPD{}", milliseconds(elapsed)));
            }
            test => connection.speed_test = test,
        }
    }

    fn send_raw(&mut self, to: ConnectionId, text: String) {
        self.outputs.push_back(Output::Text { to, text });
    }
}

/// Bytes of filler for this volume, with their prefixes.
const fn announced(volume: u64) -> u64 {
    2 * volume + 4096
}

/// The SDK divides by it.
fn milliseconds(elapsed: Duration) -> u128 {
    elapsed.as_millis().max(1)
}
