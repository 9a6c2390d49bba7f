//! What a session does by the clock: ICE deadlines, silence, reports, quality.

use super::MediaSession;
use super::media::leg_text;
use crate::leg::{Lane, Leg, Transport, codec_name};
use crate::outbox::Outbox;
use crate::params::Timeouts;
use offhook_media_control::{Event, GoneReason, LegName, LegQuality};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// How often the slow checks run.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A WebRTC peer that is lost may come back within this time, by another address, an ICE restart or a leg started anew.
const LOST_MAX: Duration = Duration::from_secs(60);

/// A session whose first offer nobody has answered is kept for so long, whatever rings: signalling that has forgotten it
/// would leave it, and its ports, for good.
const UNANSWERED_MAX: Duration = Duration::from_secs(3600);

/// When what is due.
#[derive(Debug)]
pub(super) struct Upkeep {
    next_check: Instant,
    next_report: Instant,
    next_quality: Option<Instant>,
    /// Since when media could have come.
    media_since: Option<Instant>,
}

impl Upkeep {
    pub(super) fn new(now: Instant, timeouts: &Timeouts, rng: &mut StdRng) -> Self {
        // Sessions that were opened together shall not all do their upkeep together.
        let offset = Duration::from_millis(rng.random_range(0..1000));
        Self {
            next_check: now + offset,
            next_report: now + offset + timeouts.rtcp / 2,
            next_quality: timeouts.quality.map(|interval| now + interval + offset),
            media_since: None,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        [Some(self.next_check), self.next_quality]
            .into_iter()
            .flatten()
            .min()
    }

    /// Media can come from now on.
    pub(super) fn expect_media(&mut self, now: Instant) {
        self.media_since.get_or_insert(now);
    }
}

impl MediaSession {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.over {
            return;
        }
        for name in [LegName::Client, LegName::Carrier] {
            self.leg_timeout(now, name, out);
        }
        if self.upkeep.next_check <= now {
            self.upkeep.next_check = now + CHECK_INTERVAL;
            self.check_lost(now);
            self.check_silence(now);
            if self.upkeep.next_report <= now {
                self.send_reports(now, out);
            }
        }
        if self.upkeep.next_quality.is_some_and(|at| at <= now) {
            self.upkeep.next_quality = self.params.timeouts.quality.map(|interval| now + interval);
            let legs = self.qualities();
            let session = self.id.clone();
            self.event(Event::Quality { session, legs });
        }
        self.reschedule();
    }

    fn leg_timeout(&mut self, now: Instant, name: LegName, out: &mut Outbox) {
        let tones = self.params.tones.clone();
        let leg = self.leg_mut(name);
        if leg.outbound.poll_timeout().is_some_and(|at| at <= now) {
            leg.handle_frame_timeout(now, &tones, out);
        }
        let play_end = leg.outbound.own.take_play_end();
        let press = leg.inbound.event_timeout(now);
        let transport_due = leg.transport_timeout().is_some_and(|at| at <= now);
        if transport_due && let Transport::WebRtc(side) = &mut leg.transport {
            side.leg.handle_timeout(now);
        }
        if transport_due {
            self.take_early(now, name, out);
        }
        if let Some(end) = play_end {
            self.report_play_end(name, end);
        }
        if let Some(press) = press {
            self.report_press(name, press);
        }
        if transport_due {
            self.drain_transport(now, name, out);
        }
    }

    /// Takes what came before the peer was described.
    fn take_early(&mut self, now: Instant, name: LegName, out: &mut Outbox) {
        while let Transport::Rtp(side) = &mut self.leg_mut(name).transport
            && let Some(mut early) = side.next_early(now)
        {
            self.handle_datagram(now, name, Lane::Rtp, early.source, &mut early.bytes, out);
        }
    }

    /// Gives up on a WebRTC peer that does not come back.
    fn check_lost(&mut self, now: Instant) {
        for name in [LegName::Client, LegName::Carrier] {
            if let Transport::WebRtc(side) = &self.leg(name).transport
                && side.lost_since.is_some_and(|since| since + LOST_MAX <= now)
            {
                let (who, seconds) = (leg_text(name), LOST_MAX.as_secs());
                let message = format!(
                    "the {who}'s ICE checks stopped or it closed its media, and it did not come back within {seconds} s"
                );
                self.abandon(now, GoneReason::IceFailed, message);
            }
        }
    }

    fn check_silence(&mut self, now: Instant) {
        let limit = self.params.timeouts.media_stopped;
        for name in [LegName::Client, LegName::Carrier] {
            let leg = self.leg_mut(name);
            let silent = leg.inbound.last_media.is_none_or(|at| at + limit <= now);
            if leg.inbound.flowing && silent {
                leg.inbound.flowing = false;
                self.event(Event::MediaStopped {
                    session: self.id.clone(),
                    from: name,
                });
                self.trace(format!("media-stopped {}", leg_text(name)), "");
            }
        }
        let heard = [&self.client, &self.carrier]
            .iter()
            .filter_map(|leg| leg.inbound.last_packet)
            .chain(self.upkeep.media_since)
            .chain((!self.offerer_answered).then(|| self.opened + UNANSWERED_MAX))
            .max();
        let limit = self.params.timeouts.media;
        if heard.is_some_and(|at| at + limit <= now) {
            let message = format!("no packet on either leg for {} s", limit.as_secs());
            self.abandon(now, GoneReason::MediaTimeout, message);
        }
    }

    fn send_reports(&mut self, now: Instant, out: &mut Outbox) {
        let interval = self.params.timeouts.rtcp;
        self.upkeep.next_report = now + interval;
        for leg in [&mut self.client, &mut self.carrier] {
            if leg.outbound.stream.packets() > 0 || leg.inbound.last_packet.is_some() {
                leg.send_report(
                    now,
                    interval,
                    &self.params.clock,
                    &self.cname,
                    &mut self.scratch,
                    out,
                );
            }
        }
    }

    /// Figures of both legs since the session was opened.
    pub(super) fn qualities(&self) -> Vec<LegQuality> {
        [&self.client, &self.carrier].into_iter().map(quality).collect()
    }
}

fn quality(leg: &Leg) -> LegQuality {
    LegQuality {
        leg: leg.name,
        codec_received: leg.inbound.codec.map(codec_name),
        codec_sent: leg.outbound.codec.map(|codec| codec_name(codec.codec)),
        packets_received: leg.inbound.received(),
        packets_sent: leg.outbound.stream.packets(),
        packets_lost: leg.inbound.lost(),
        packets_discarded: leg.inbound.discarded,
        jitter_ms: leg.inbound.jitter().as_secs_f32() * 1000.0,
        round_trip_ms: leg.inbound.round_trip.map(|time| time.as_secs_f32() * 1000.0),
        remote_loss: leg.inbound.remote_loss,
    }
}
