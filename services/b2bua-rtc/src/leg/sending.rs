//! Sending on a leg: packets passed on, frames made, digits, reports.

use super::outbound::{Clock, Digits, FRAME, IDLE_FRAMES_MAX, QUIET, Transcoder};
use super::passing_event::{Follow, PassingEvent};
use super::{Discard, Leg};
use crate::outbox::Outbox;
use crate::params::{AudioParams, WallClock};
use crate::tones::Tones;
use offhook_audio::g711::{self, Law};
use offhook_audio::{
    AudioCodec, AudioError, FrameOrigin, JitterConfig, OpusEncoderConfig, Packet, Pipeline, PipelineConfig,
};
use offhook_offer_answer::{Codec, OpusSending, Route};
use offhook_rtp::rtcp::{CompoundWriter, ReportBlock, SenderInfo};
use offhook_rtp::telephone_event::{EventFrame, PAYLOAD_LEN, TelephoneEvent};
use offhook_rtp::{RtpFields, RtpPacket};
use std::time::{Duration, Instant};

/// Loss that our in-band error correction is made for, percent: what a poor access network has.
const EXPECTED_LOSS_PERCENT: u8 = 10;
/// Hold of the jitter buffer before the network's jitter is known.
const JITTER_START: Duration = Duration::from_millis(4);

impl Leg {
    /// Passes a packet of the other leg on, as it is or with G.711 turned into the other law.
    #[inline]
    pub(crate) fn relay(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        route: &Route,
        out: &mut Outbox,
    ) -> Result<(), Discard> {
        if !self.takes_media() || self.is_sounding() || self.outbound.own.covers() {
            return Err(Discard::NoReceiver);
        }
        let outbound = &mut self.outbound;
        outbound.own.give_way();
        if outbound.transcoder.is_some() {
            // The source has changed to what needs no transcoding.
            outbound.transcoder = None;
        }
        outbound.last_audio = Some(now);
        if outbound.clock == Clock::Stopped && outbound.own.comfort() {
            outbound.clock = Clock::Watching(now + QUIET);
        }
        let payload = packet.payload();
        let laws = (law(route.received.codec), law(route.sent.codec));
        let stream = &mut outbound.stream;
        self.transport
            .send_rtp(out, |slot| {
                let target = slot.get_mut(..payload.len())?;
                target.copy_from_slice(payload);
                if let (Some(from), Some(to)) = laws
                    && route.received.codec != route.sent.codec
                {
                    g711::convert(from, to, target);
                }
                let rate = route.sent.codec.clock_rate_hz();
                let fields = stream.relay(
                    now,
                    &packet.fields(),
                    rate,
                    route.sent.payload_type,
                    payload.len(),
                );
                Some((fields, payload.len()))
            })
            .map(drop)
            .ok_or(Discard::NoReceiver)
    }

    /// Gives a packet of the other leg to the transcoder, which is made at the first one.
    pub(crate) fn transcode(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        route: &Route,
        audio: &AudioParams,
    ) -> Result<(), Discard> {
        if !self.takes_media() || self.outbound.own.covers() {
            return Err(Discard::NoReceiver);
        }
        self.outbound.own.give_way();
        self.prepare_transcoder(route, audio)?;
        let outbound = &mut self.outbound;
        let fields = packet.fields();
        if let Some(transcoder) = &mut outbound.transcoder {
            transcoder.pipeline.push(
                now,
                &Packet {
                    sequence: fields.sequence,
                    timestamp: fields.timestamp,
                    ssrc: fields.ssrc.0,
                    payload: packet.payload(),
                },
            );
        }
        Ok(())
    }

    /// Makes the transcoder for `route` unless it is there: when codecs are settled, so that the first packet finds it.
    pub(crate) fn prepare_transcoder(&mut self, route: &Route, audio: &AudioParams) -> Result<(), Discard> {
        let cap_bps = self.max_bitrate_bps();
        let outbound = &mut self.outbound;
        let suits = |transcoder: &Transcoder| transcoder.route == *route && transcoder.cap_bps == cap_bps;
        if outbound.transcoder.as_deref().is_some_and(suits) {
            return Ok(());
        }
        let pipeline = new_pipeline(route, audio, cap_bps).map_err(|error| {
            tracing::error!(%error, "no transcoder for a call: its audio is lost in one direction");
            Discard::NoReceiver
        })?;
        outbound.stream.switch_source();
        outbound.transcoder = Some(Box::new(Transcoder {
            route: *route,
            cap_bps,
            pipeline,
            idle_frames: 0,
        }));
        Ok(())
    }

    /// Passes a telephone-event of the other leg on, in this leg's numbers and clock.
    pub(crate) fn pass_event(
        &mut self,
        now: Instant,
        source: &RtpFields,
        source_rate_hz: u32,
        event: TelephoneEvent,
        out: &mut Outbox,
    ) -> Result<(), Discard> {
        let events = self.telephone_events();
        let target = self
            .outbound
            .codec
            .and_then(|codec| events.for_codec(codec.codec));
        let Some((payload_type, rate_hz)) = target else {
            return Err(Discard::NoReceiver);
        };
        if !self.takes_media() || self.outbound.digits.is_some() {
            return Err(Discard::NoReceiver);
        }
        let stream = &mut self.outbound.stream;
        let known = self.outbound.passing.filter(|known| known.is_of(source.ssrc));
        let (passing, starts) = match known.map(|known| known.follow(source, &event)) {
            Some(Follow::Goes(passing)) => (passing, false),
            // Its receiver has heard of a newer one since: it would take this for another press.
            Some(Follow::Late) => return Ok(()),
            Some(Follow::Other) | None => (
                PassingEvent::new(source, &event, stream.timestamp_at(now, rate_hz)),
                true,
            ),
        };
        self.outbound.passing = Some(passing);
        let (timestamp, duration) = passing.state(&event, source_rate_hz, rate_hz);
        let event = TelephoneEvent { duration, ..event };
        self.transport
            .send_rtp(out, |slot| {
                slot.get_mut(..PAYLOAD_LEN)?.copy_from_slice(&event.to_payload());
                let fields = stream.beside(now, payload_type, timestamp, starts, PAYLOAD_LEN);
                Some((fields, PAYLOAD_LEN))
            })
            .map(drop)
            .ok_or(Discard::NoReceiver)
    }

    /// Sends what is due: transcoded frames, digits, ringback, sounds, comfort noise.
    pub(crate) fn handle_frame_timeout(&mut self, now: Instant, tones: &Tones, out: &mut Outbox) {
        self.send_transcoded(now, out);
        match self.outbound.clock {
            Clock::Watching(at) if at <= now => {
                let quiet_from = self.outbound.last_audio.map_or(now, |last| last + QUIET);
                if quiet_from > now {
                    self.outbound.clock = Clock::Watching(quiet_from);
                } else {
                    self.send_frame(now, now, tones, out);
                }
            }
            Clock::Running(at) if at <= now => self.send_frame(now, at, tones, out),
            _ => {}
        }
    }

    fn send_transcoded(&mut self, now: Instant, out: &mut Outbox) {
        let sounding = self.is_sounding();
        let takes_media = self.takes_media();
        let outbound = &mut self.outbound;
        let Some(transcoder) = &mut outbound.transcoder else {
            return;
        };
        let sent = transcoder.route.sent;
        let rate = sent.codec.clock_rate_hz();
        let mut scratch = [0; offhook_audio::PAYLOAD_LEN_MAX];
        while let Some(frame) = transcoder.pipeline.pop(now, &mut scratch) {
            outbound.transcoded_frames += 1;
            transcoder.idle_frames = match frame.origin {
                FrameOrigin::ComfortNoise => transcoder.idle_frames + 1,
                _ => 0,
            };
            // Without comfort the gateway adds nothing of its own: what is missing stays missing for the receiver too.
            let made_up = matches!(frame.origin, FrameOrigin::ComfortNoise | FrameOrigin::Concealed);
            if !takes_media || sounding || (made_up && !outbound.own.comfort()) {
                continue;
            }
            let stream = &mut outbound.stream;
            self.transport.send_rtp(out, |slot| {
                slot.get_mut(..frame.len)?
                    .copy_from_slice(scratch.get(..frame.len)?);
                let mut fields = stream.timed(now, sent.payload_type, rate, frame.timestamp, frame.len);
                fields.marker |= frame.marker;
                Some((fields, frame.len))
            });
            outbound.last_audio = Some(now);
        }
        if transcoder.idle_frames > IDLE_FRAMES_MAX {
            outbound.transcoder = None;
            outbound.start_clock(now);
        }
    }

    /// One frame of ours, if one is needed, and when the next is due.
    fn send_frame(&mut self, now: Instant, due: Instant, tones: &Tones, out: &mut Outbox) {
        let next = due + FRAME;
        // After a stall the missed frames are not caught up.
        self.outbound.clock = Clock::Running(if next + QUIET < now { now + FRAME } else { next });
        if !self.takes_media() {
            self.outbound.digits = None;
            self.outbound.clock = Clock::Stopped;
            return;
        }
        if self.send_digit(now, out) {
            return;
        }
        if let Some(last) = self.outbound.last_audio
            && last + QUIET > now
        {
            if self.outbound.digits.is_none() {
                self.outbound.clock = Clock::Watching(last + QUIET);
            }
            return;
        }
        let outbound = &mut self.outbound;
        let Some(codec) = outbound.codec else {
            return;
        };
        let Some(payload) = outbound.own.next_frame(codec.codec, tones) else {
            if outbound.digits.is_none() {
                outbound.clock = Clock::Stopped;
            }
            return;
        };
        let rate = codec.codec.clock_rate_hz();
        let ticks = rate / 1000 * FRAME.as_millis() as u32;
        let stream = &mut outbound.stream;
        self.transport.send_rtp(out, |slot| {
            slot.get_mut(..payload.len())?.copy_from_slice(payload);
            let fields = stream.frame(now, codec.payload_type, rate, ticks, payload.len());
            Some((fields, payload.len()))
        });
    }

    /// Sends the digit packet of this frame; false if audio may be sent instead.
    fn send_digit(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let outbound = &mut self.outbound;
        let Some(digits) = &mut outbound.digits else {
            return false;
        };
        let stream = &mut outbound.stream;
        let frame = digits
            .sender
            .next_frame(stream.timestamp_at(now, digits.clock_rate_hz));
        digits.sounding = matches!(frame, EventFrame::Event(_));
        if !digits.sender.is_active() {
            outbound.digits = None;
            return false;
        }
        let Digits { payload_type, .. } = **digits;
        let EventFrame::Event(event) = frame else {
            return false;
        };
        self.transport.send_rtp(out, |slot| {
            slot.get_mut(..PAYLOAD_LEN)?.copy_from_slice(&event.payload);
            let fields = stream.beside(now, payload_type, event.timestamp, event.marker, PAYLOAD_LEN);
            Some((fields, PAYLOAD_LEN))
        });
        true
    }

    fn is_sounding(&self) -> bool {
        self.outbound
            .digits
            .as_ref()
            .is_some_and(|digits| digits.sounding)
    }

    /// Sends a sender or receiver report about this leg (RFC 3550 §6.4): a sender's if anything was sent within two intervals.
    pub(crate) fn send_report(
        &mut self,
        now: Instant,
        interval: Duration,
        clock: &WallClock,
        cname: &str,
        scratch: &mut Vec<u8>,
        out: &mut Outbox,
    ) {
        scratch.clear();
        let block = self.inbound.make_report(now);
        let blocks: &[ReportBlock] = block.as_slice();
        let stream = &self.outbound.stream;
        let mut writer = CompoundWriter::new(scratch);
        let sends = stream.last_sent().is_some_and(|at| at + 2 * interval > now);
        match stream.report_timestamp(now).filter(|_| sends) {
            Some(rtp_timestamp) => writer.sender_report(
                stream.ssrc(),
                &SenderInfo {
                    ntp: clock.ntp(now),
                    rtp_timestamp,
                    packets: stream.packets() as u32,
                    octets: stream.payload_bytes() as u32,
                },
                blocks,
            ),
            None => writer.receiver_report(stream.ssrc(), blocks),
        };
        writer.cname(stream.ssrc(), cname);
        self.transport.send_rtcp(out, scratch);
    }

    /// Says goodbye to the peer's receiver (RFC 3550 §6.6).
    pub(crate) fn send_goodbye(&mut self, cname: &str, scratch: &mut Vec<u8>, out: &mut Outbox) {
        if self.outbound.stream.packets() == 0 {
            return;
        }
        scratch.clear();
        let ssrc = self.outbound.stream.ssrc();
        CompoundWriter::new(scratch)
            .receiver_report(ssrc, &[])
            .cname(ssrc, cname)
            .goodbye(ssrc, None);
        self.transport.send_rtcp(out, scratch);
    }
}

/// True if packets of this route need no decoding.
pub(crate) fn passes(route: &Route) -> bool {
    route.is_relay() || (law(route.received.codec).is_some() && law(route.sent.codec).is_some())
}

fn law(codec: Codec) -> Option<Law> {
    match codec {
        Codec::Opus => None,
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
    }
}

/// The name of a codec in `offhook-audio`.
pub(crate) fn audio_codec(codec: Codec) -> AudioCodec {
    match codec {
        Codec::Opus => AudioCodec::Opus,
        Codec::Pcmu => AudioCodec::Pcmu,
        Codec::Pcma => AudioCodec::Pcma,
    }
}

fn new_pipeline(route: &Route, audio: &AudioParams, cap_bps: Option<u32>) -> Result<Pipeline, AudioError> {
    let opus = OpusSending::for_peer(&route.sent.opus, audio.opus_bitrate_bps, cap_bps);
    Pipeline::new(&PipelineConfig {
        received: audio_codec(route.received.codec),
        sent: audio_codec(route.sent.codec),
        opus: OpusEncoderConfig {
            bitrate_bps: opus.bitrate_bps,
            complexity: audio.opus_complexity,
            in_band_fec: opus.in_band_fec,
            expected_loss_percent: EXPECTED_LOSS_PERCENT,
            constant_bitrate: opus.constant_bitrate,
        },
        jitter: JitterConfig {
            start_delay: JITTER_START.max(audio.jitter_min),
            min_delay: audio.jitter_min,
            max_delay: audio.jitter_max,
        },
    })
}
