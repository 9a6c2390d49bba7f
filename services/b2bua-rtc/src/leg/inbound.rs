//! What comes in on a leg: statistics of the stream, digits, when it was last heard.

use super::sources::Sources;
use offhook_media_control::CodecName;
use offhook_offer_answer::Codec;
use offhook_rtp::rtcp::ReportBlock;
use offhook_rtp::telephone_event::{EventChange, EventReceiver, TelephoneEvent, digit_of_event};
use offhook_rtp::{ReceiverStats, RtpFields, Ssrc};
use std::time::{Duration, Instant};

/// Receiving half of a leg.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    sources: Sources,
    /// Of the present source.
    stats: Option<ReceiverStats>,
    /// Received and lost of the sources before.
    earlier: (u64, i64),
    /// Newest audio packet: its timestamp, clock and arrival.
    newest: Option<(u32, u32, Instant)>,
    /// Codec of the newest audio packet.
    pub(crate) codec: Option<Codec>,
    /// When anything was heard last, reports included.
    pub(crate) last_packet: Option<Instant>,
    /// When media was heard last.
    pub(crate) last_media: Option<Instant>,
    /// True from the first packet until silence is reported.
    pub(crate) flowing: bool,
    /// Dropped on our side.
    pub(crate) discarded: u64,
    /// Round trip by the peer's reports.
    pub(crate) round_trip: Option<Duration>,
    /// Loss that the peer's latest report states, 0 to 1.
    pub(crate) remote_loss: Option<f32>,
    events: EventReceiver,
    events_rate_hz: u32,
}

/// A press that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Press {
    pub(crate) digit: char,
    pub(crate) duration_ms: u16,
}

impl Inbound {
    /// True if audio of this source is heard, and not a newer one of the same peer.
    #[inline]
    pub(crate) fn hears(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        self.sources.hears(now, ssrc)
    }

    /// A source has said goodbye.
    pub(crate) fn goodbye(&mut self, ssrc: Ssrc) {
        self.sources.goodbye(ssrc);
    }

    /// Counts an audio packet. True if it is the first one, or the first after a reported silence.
    #[inline]
    pub(crate) fn audio(&mut self, now: Instant, fields: &RtpFields, codec: Codec) -> bool {
        self.codec = Some(codec);
        self.newest = Some((fields.timestamp, codec.clock_rate_hz(), now));
        self.count(now, fields, codec.clock_rate_hz(), fields.timestamp);
        !std::mem::replace(&mut self.flowing, true)
    }

    /// Counts a telephone-event packet and finds the presses that it ends.
    pub(crate) fn event(
        &mut self,
        now: Instant,
        fields: &RtpFields,
        clock_rate_hz: u32,
        event: TelephoneEvent,
    ) -> Vec<Press> {
        // Its timestamp stands still while the key is down; jitter is reckoned as if it ran like audio.
        let (rate, timestamp) = match self.newest {
            Some((timestamp, rate, at)) => {
                let elapsed_us = now.saturating_duration_since(at).as_micros() as u64;
                (
                    rate,
                    timestamp.wrapping_add((elapsed_us * u64::from(rate) / 1_000_000) as u32),
                )
            }
            None => (clock_rate_hz, fields.timestamp),
        };
        if self.sources.goes_on(now, fields.ssrc) {
            self.count(now, fields, rate, timestamp);
        } else {
            self.earlier.0 += 1;
            self.last_packet = Some(now);
            self.last_media = Some(now);
        }
        self.events_rate_hz = clock_rate_hz;
        let changes = self.events.receive(now, fields.timestamp, event);
        changes
            .into_iter()
            .filter_map(|change| press(change, clock_rate_hz))
            .collect()
    }

    /// A press whose end was lost.
    pub(crate) fn event_timeout(&mut self, now: Instant) -> Option<Press> {
        press(self.events.handle_timeout(now)?, self.events_rate_hz)
    }

    /// When [`Self::event_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.events.poll_timeout()
    }

    /// Notes a sender report of the present source.
    pub(crate) fn sender_report(&mut self, now: Instant, ssrc: Ssrc, ntp: offhook_rtp::NtpTime) {
        if let Some(stats) = self.stats.as_mut().filter(|stats| stats.ssrc() == ssrc) {
            stats.receive_sender_report(ntp, now);
        }
    }

    /// Report block about the present source.
    pub(crate) fn make_report(&mut self, now: Instant) -> Option<ReportBlock> {
        self.stats.as_mut().map(|stats| stats.make_report(now))
    }

    /// Packets received from all sources.
    pub(crate) fn received(&self) -> u64 {
        self.earlier.0 + self.stats.as_ref().map_or(0, ReceiverStats::received)
    }

    /// Packets that never came.
    pub(crate) fn lost(&self) -> u64 {
        let lost = self.earlier.1 + self.stats.as_ref().map_or(0, ReceiverStats::lost);
        lost.max(0) as u64
    }

    /// Interarrival jitter.
    pub(crate) fn jitter(&self) -> Duration {
        self.stats.as_ref().map_or(Duration::ZERO, ReceiverStats::jitter)
    }

    fn count(&mut self, now: Instant, fields: &RtpFields, clock_rate_hz: u32, timestamp: u32) {
        self.last_packet = Some(now);
        self.last_media = Some(now);
        match &mut self.stats {
            // Jitter is reckoned by one clock: with another codec's it starts anew.
            Some(stats) if stats.ssrc() == fields.ssrc && stats.clock_rate_hz() == clock_rate_hz => {
                stats.receive(fields.sequence, timestamp, now);
            }
            other => {
                if let Some(ended) = other {
                    self.earlier.0 += ended.received();
                    self.earlier.1 += ended.lost();
                }
                *other = Some(ReceiverStats::new(
                    fields.ssrc,
                    clock_rate_hz,
                    fields.sequence,
                    timestamp,
                    now,
                ));
            }
        }
    }
}

fn press(change: EventChange, clock_rate_hz: u32) -> Option<Press> {
    let EventChange::Released { event, duration } = change else {
        return None;
    };
    let duration_ms = u64::from(duration) * 1000 / u64::from(clock_rate_hz.max(1));
    Some(Press {
        digit: digit_of_event(event)?,
        duration_ms: duration_ms.min(u64::from(u16::MAX)) as u16,
    })
}

/// The control link's name of a codec.
pub(crate) fn codec_name(codec: Codec) -> CodecName {
    match codec {
        Codec::Opus => CodecName::Opus,
        Codec::Pcmu => CodecName::Pcmu,
        Codec::Pcma => CodecName::Pcma,
    }
}
