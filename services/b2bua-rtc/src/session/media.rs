//! Datagrams through a session: sorted, decrypted, counted, and passed to the other leg.

use super::{MediaSession, Output};
use crate::leg::{Discard, Lane, Leg, Taken, Transport, codec_name, passes};
use crate::outbox::Outbox;
use offhook_media_control::{Event, GoneReason, LegName, PlayEnd};
use offhook_offer_answer::{Bridge, Route};
use offhook_rtp::rtcp::{Compound, Packet};
use offhook_rtp::telephone_event::TelephoneEvent;
use offhook_rtp::{RtpPacket, Ssrc, round_trip};
use offhook_webrtc::{FailureReason, LegEvent};
use std::net::SocketAddr;
use std::time::Instant;

/// Reports in one datagram that are read; a leg has one source, so more say nothing of ours.
const RTCP_PACKETS_MAX: usize = 16;

impl MediaSession {
    /// Takes a datagram that came to a port of `leg`. Media is decrypted in place.
    #[inline]
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        leg: LegName,
        lane: Lane,
        source: SocketAddr,
        data: &mut [u8],
        out: &mut Outbox,
    ) {
        if self.over {
            return;
        }
        let receiver = self.leg_mut(leg);
        match receiver.take(now, lane, source, data) {
            Taken::Rtp(len) => self.rtp(now, leg, &data[..len], out),
            Taken::Latched(len) => {
                self.trace_latched(leg, source);
                self.rtp(now, leg, &data[..len], out);
            }
            Taken::Rtcp(len) => self.rtcp(now, leg, &data[..len]),
            Taken::Transport => {
                self.drain_transport(now, leg, out);
                self.reschedule();
            }
            Taken::Kept => {}
            Taken::Dropped(reason) => {
                self.drop_from(leg, reason, source);
                // A check with wrong integrity was answered.
                if reason == Discard::BadStun {
                    self.drain_transport(now, leg, out);
                }
            }
        }
    }

    fn rtp(&mut self, now: Instant, from: LegName, bytes: &[u8], out: &mut Outbox) {
        let Ok(packet) = RtpPacket::parse(bytes) else {
            return self.drop_datagram(from, Discard::Malformed);
        };
        let payload_type = packet.fields().payload_type;
        let kept_back = self.keeps_back(from);
        let (sender, receiver) = match from {
            LegName::Client => (&mut self.client, &mut self.carrier),
            LegName::Carrier => (&mut self.carrier, &mut self.client),
        };
        let Some(route) = route(self.bridge.as_ref(), from, payload_type) else {
            return self.other_payload(now, from, &packet, out);
        };
        if !sender.inbound.hears(now, packet.fields().ssrc) {
            return self.drop_source(from, packet.fields().ssrc);
        }
        let starts = sender.inbound.audio(now, &packet.fields(), route.received.codec);
        let due = receiver.outbound.poll_timeout();
        let result = if kept_back {
            Err(Discard::NoReceiver)
        } else if passes(&route) {
            receiver.relay(now, &packet, &route, out)
        } else {
            self.transcoded = true;
            receiver.transcode(now, &packet, &route, &self.params.audio)
        };
        let due_now = receiver.outbound.poll_timeout();
        if let Err(reason) = result {
            self.drops.count(reason);
        }
        let play_end = receiver.outbound.own.take_play_end();
        if due_now != due {
            self.reschedule();
        }
        if let Some(end) = play_end {
            self.report_play_end(super::other(from), end);
        }
        if starts {
            self.event(Event::MediaStarted {
                session: self.id.clone(),
                from,
                codec: codec_name(route.received.codec),
            });
            self.trace(
                format!("media-started {}", leg_text(from)),
                route.received.codec.encoding_name(),
            );
        }
    }

    /// A packet that is no audio of a negotiated codec: a telephone-event, or nothing for us.
    fn other_payload(&mut self, now: Instant, from: LegName, packet: &RtpPacket<'_>, out: &mut Outbox) {
        let fields = packet.fields();
        let rate = self
            .leg(from)
            .telephone_events()
            .clock_rate_hz(fields.payload_type);
        let Some(rate) = rate else {
            let reason = match self.bridge {
                Some(_) => Discard::UnknownPayload,
                None => Discard::NoReceiver,
            };
            return self.drop_datagram(from, reason);
        };
        let Some(event) = TelephoneEvent::parse(packet.payload()) else {
            return self.drop_datagram(from, Discard::Malformed);
        };
        let presses = self.leg_mut(from).inbound.event(now, &fields, rate, event);
        let passed = if self.keeps_back(from) {
            Err(Discard::NoReceiver)
        } else {
            self.leg_mut(super::other(from))
                .pass_event(now, &fields, rate, event, out)
        };
        if let Err(reason) = passed {
            self.drops.count(reason);
        }
        for press in presses {
            self.report_press(from, press);
        }
        self.reschedule();
    }

    pub(super) fn report_play_end(&mut self, to: LegName, end: PlayEnd) {
        self.event(Event::PlayEnded {
            session: self.id.clone(),
            to,
            end,
        });
        self.trace(format!("play-ended {}", leg_text(to)), format!("{end:?}"));
    }

    /// An RTP peer was recognised by its packets; worth telling where its description says something else.
    fn trace_latched(&mut self, leg: LegName, source: SocketAddr) {
        if let Transport::Rtp(side) = &self.leg(leg).transport
            && side.is_elsewhere()
        {
            let call_id = &self.call_id;
            tracing::info!(%call_id, leg = leg_text(leg), %source, "media comes from another address than signalled");
            self.trace(format!("latched {}", leg_text(leg)), source.to_string());
        }
    }

    pub(super) fn report_press(&mut self, from: LegName, press: crate::leg::Press) {
        self.event(Event::Dtmf {
            session: self.id.clone(),
            from,
            digit: press.digit,
            duration_ms: press.duration_ms,
        });
        // Which digit is the caller's affair (PINs): the trace says only that there was one.
        self.trace(
            format!("dtmf {}", leg_text(from)),
            format!("{} ms", press.duration_ms),
        );
    }

    fn rtcp(&mut self, now: Instant, from: LegName, bytes: &[u8]) {
        let Ok(compound) = Compound::parse(bytes) else {
            return self.drop_datagram(from, Discard::Malformed);
        };
        let arrival = self.params.clock.ntp(now);
        let leg = self.leg_mut(from);
        leg.inbound.last_packet = Some(now);
        let ours = leg.outbound.stream.ssrc();
        for packet in compound.packets().take(RTCP_PACKETS_MAX) {
            let reports = match packet {
                Packet::SenderReport { ssrc, info, reports } => {
                    leg.inbound.sender_report(now, ssrc, info.ntp);
                    reports
                }
                Packet::ReceiverReport { reports, .. } => reports,
                Packet::Goodbye { sources, .. } => {
                    sources.for_each(|ssrc| leg.inbound.goodbye(ssrc));
                    continue;
                }
                _ => continue,
            };
            for block in reports.filter(|block| block.ssrc == ours) {
                leg.inbound.remote_loss = Some(f32::from(block.fraction_lost) / 256.0);
                if let Some(time) = round_trip(arrival, &block) {
                    leg.inbound.round_trip = Some(time);
                }
            }
        }
    }

    /// Counts a datagram that should not have come; the first of each kind is told.
    fn drop_from(&mut self, leg: LegName, reason: Discard, source: SocketAddr) {
        let first = self.drops.count_of(reason) == 0;
        self.drop_datagram(leg, reason);
        // Media before the handshake is done is nothing strange.
        if first && reason != Discard::NotReady {
            let call_id = &self.call_id;
            tracing::warn!(%call_id, leg = leg_text(leg), ?reason, %source, "datagrams dropped");
            self.trace(
                format!("dropped {}", leg_text(leg)),
                format!("{reason:?} from {source}"),
            );
        }
    }

    /// Counts a packet of a source that is not heard; the first one is told.
    fn drop_source(&mut self, leg: LegName, ssrc: Ssrc) {
        if self.drops.count_of(Discard::OtherSource) == 0 {
            let call_id = &self.call_id;
            tracing::info!(%call_id, leg = leg_text(leg), "a peer sends several sources at a time: the newest is heard");
            self.trace(
                format!("several-sources {}", leg_text(leg)),
                format!("{:08x} is not heard beside a newer one", ssrc.0),
            );
        }
        self.drop_datagram(leg, Discard::OtherSource);
    }

    fn drop_datagram(&mut self, leg: LegName, reason: Discard) {
        self.drops.count(reason);
        if reason != Discard::NoReceiver {
            self.leg_mut(leg).inbound.discarded += 1;
        }
    }

    /// Sends what ICE and DTLS have to say, and acts on what they report.
    pub(super) fn drain_transport(&mut self, now: Instant, name: LegName, out: &mut Outbox) {
        loop {
            let Leg {
                transport: Transport::WebRtc(side),
                ..
            } = self.leg_mut(name)
            else {
                return;
            };
            side.drain(out);
            let Some(event) = side.poll_event() else {
                return;
            };
            self.transport_event(now, name, event);
        }
    }

    fn transport_event(&mut self, now: Instant, name: LegName, event: LegEvent) {
        match event {
            LegEvent::AddressAdded(path) => self.outputs.push_back(Output::AddressAdded(name, path)),
            LegEvent::AddressRemoved(path) => self.outputs.push_back(Output::AddressRemoved(name, path)),
            LegEvent::IceConnected(path) => {
                self.trace("ice-connected", format!("{} at {}", path.remote, path.local));
                self.note_connected(now, name);
            }
            LegEvent::SelectedAddressChanged(path) => {
                self.trace("address-changed", path.remote.to_string());
            }
            LegEvent::DtlsConnected { profile } => {
                self.trace("dtls-connected", format!("{profile:?}"));
                self.note_connected(now, name);
            }
            LegEvent::ConsentLost => {
                self.note_lost(name, Some(now));
                self.trace(
                    "consent-lost",
                    format!("no ICE check from the {}", leg_text(name)),
                );
            }
            LegEvent::ConsentRegained => {
                self.note_lost(name, None);
                self.trace("consent-regained", "");
                self.start_clocks(now);
            }
            LegEvent::RemoteClosed => {
                self.note_lost(name, Some(now));
                self.trace("dtls-closed", format!("close_notify from the {}", leg_text(name)));
            }
            LegEvent::Failed(reason) => {
                let kind = match reason {
                    FailureReason::IceTimeout { .. } => GoneReason::IceFailed,
                    _ => GoneReason::DtlsFailed,
                };
                self.abandon(now, kind, reason.to_string());
            }
        }
    }
}

impl MediaSession {
    fn note_lost(&mut self, name: LegName, since: Option<Instant>) {
        if let Transport::WebRtc(side) = &mut self.leg_mut(name).transport {
            side.lost_since = since;
        }
    }

    /// Media can flow once a pair is nominated and the handshake is done, whichever comes last.
    fn note_connected(&mut self, now: Instant, name: LegName) {
        let Transport::WebRtc(side) = &mut self.leg_mut(name).transport else {
            return;
        };
        if !side.leg.is_connected() || std::mem::replace(&mut side.connected, true) {
            return;
        }
        side.lost_since = None;
        let session = self.id.clone();
        self.event(Event::Connected { session });
        self.trace("connected", leg_text(name));
        self.start_clocks(now);
    }
}

/// `client` or `carrier`, for names of trace events.
pub(super) fn leg_text(leg: LegName) -> &'static str {
    match leg {
        LegName::Client => "client",
        LegName::Carrier => "carrier",
    }
}

fn route(bridge: Option<&Bridge>, from: LegName, payload_type: u8) -> Option<Route> {
    let bridge = bridge?;
    match from {
        LegName::Client => bridge.route_to_carrier(payload_type),
        LegName::Carrier => bridge.route_to_client(payload_type),
    }
    .copied()
}
