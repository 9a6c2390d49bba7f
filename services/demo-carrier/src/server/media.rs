//! From offer to answer, and what is due every 20 ms.

use super::{ANNOUNCEMENT, ANNOUNCEMENT_AFTER_ANSWER, CALL_MAX, Output, Server};
use crate::call::{Phase, PortResult};
use crate::negotiation::Negotiation;
use crate::playlist::{BEEP_HZ, Playlist};
use crate::scenario::Scenario;
use crate::stream::{Audio, Stream};
use offhook_call_trace::CallId;
use offhook_offer_answer::OfferAnswerError;
use offhook_sip::user_agent::{Body, LegId, Reply};
use offhook_sip_message::{Message, StatusCode};
use rand::RngExt;
use std::time::Instant;

impl Server {
    /// Answers the offer, rings or plays early, and gets ready to answer the call.
    pub(super) fn start_media(&mut self, now: Instant, leg: LegId, port: PortResult) {
        let codecs = self.settings.codecs.clone();
        let (session_id, ssrc) = (self.rng.random::<u32>(), self.rng.random::<u32>());
        let Some(call) = self.calls.get_mut(&leg) else {
            return self.outputs.push_back(Output::ClosePort { leg });
        };
        let Phase::AwaitsPort { incoming, offer } = &call.phase else {
            return;
        };
        let incoming = *incoming;
        let address = match port {
            Ok(address) => address,
            Err(error) => {
                tracing::error!(%error, "no port for RTP");
                return self.refuse(now, leg, incoming, StatusCode::SERVICE_UNAVAILABLE);
            }
        };
        let mut negotiation = Negotiation::new(u64::from(session_id), address, codecs);
        let description = match negotiation.describe(offer.as_deref()) {
            Ok(description) => description,
            Err(error) => return self.refuse(now, leg, incoming, status_of(&error)),
        };
        if let Some(agreement) = negotiation.agreement() {
            match Stream::new(agreement, audio_of(call.scenario), ssrc) {
                Ok(stream) => call.stream = Some(stream),
                Err(error) => {
                    tracing::error!(%error, "no encoder for a call");
                    return self.refuse(now, leg, incoming, StatusCode::SERVER_INTERNAL_ERROR);
                }
            }
        }
        call.negotiation = Some(negotiation);
        let plays_early = call.scenario == Scenario::Announcement && call.stream.is_some();
        let (reply, wait) = if plays_early {
            let reply = Reply::new(StatusCode::SESSION_PROGRESS).with_body(Body::sdp(description.clone()));
            (reply, ANNOUNCEMENT)
        } else {
            (Reply::new(StatusCode::RINGING), self.settings.ring)
        };
        call.phase = Phase::Early {
            incoming,
            description,
            answer_at: now + wait,
        };
        self.respond(now, incoming, reply);
    }

    /// 20 ms are over: packets for all calls that play, and what is due in them.
    pub(super) fn tick(&mut self, now: Instant) {
        let mut legs: Vec<LegId> = self.calls.keys().copied().collect();
        legs.sort_unstable();
        for leg in legs {
            let Some(call) = self.calls.get_mut(&leg) else {
                continue;
            };
            let plays = match call.phase {
                Phase::Up { .. } => true,
                Phase::Early { .. } => call.scenario == Scenario::Announcement,
                Phase::AwaitsPort { .. } | Phase::Rings => false,
            };
            if plays && let Some(packet) = call.stream.as_mut().and_then(Stream::tick) {
                self.send_rtp(leg, packet);
            }
            self.act(now, leg);
        }
    }

    /// Answers or hangs up, when it is time.
    fn act(&mut self, now: Instant, leg: LegId) {
        let Some(call) = self
            .calls
            .get_mut(&leg)
            .filter(|call| call.poll_timeout().is_some_and(|at| at <= now))
        else {
            return;
        };
        let Phase::Early {
            incoming,
            description,
            ..
        } = &call.phase
        else {
            return self.hang_up(now, leg, "carrier hung up");
        };
        let (incoming, body) = (*incoming, Body::sdp(description.clone()));
        let length = if call.scenario == Scenario::Announcement {
            ANNOUNCEMENT_AFTER_ANSWER
        } else {
            CALL_MAX
        };
        call.phase = Phase::Up {
            hang_up_at: now + length,
        };
        self.respond(now, incoming, Reply::new(StatusCode::OK).with_body(body));
    }

    pub(super) fn renegotiate(&mut self, leg: LegId, offer: Option<String>) -> Reply {
        let Some(call) = self.calls.get_mut(&leg) else {
            return Reply::new(StatusCode::CALL_DOES_NOT_EXIST);
        };
        let Some(negotiation) = &mut call.negotiation else {
            return Reply::new(StatusCode::REQUEST_PENDING);
        };
        match negotiation.describe(offer.as_deref()) {
            Ok(description) => {
                call.apply_agreement();
                Reply::new(StatusCode::OK).with_body(Body::sdp(description))
            }
            Err(error) => Reply::new(status_of(&error)),
        }
    }

    /// An ACK brings the answer where we had to offer.
    pub(super) fn handle_ack(&mut self, leg: LegId, request: &Message) {
        let ssrc = self.rng.random();
        let (Some(call), Some(answer)) = (self.calls.get_mut(&leg), body_text(request)) else {
            return;
        };
        let Some(negotiation) = &mut call.negotiation else {
            return;
        };
        if let Err(error) = negotiation.handle_answer(&answer) {
            let call_id = call.call_id.as_ref().map(CallId::as_str);
            return tracing::warn!(call_id, %error, "the answer in an ACK cannot be used");
        }
        match (&call.stream, negotiation.agreement()) {
            (None, Some(agreement)) => {
                call.stream = Stream::new(agreement, audio_of(call.scenario), ssrc).ok()
            }
            _ => call.apply_agreement(),
        }
    }
}

fn audio_of(scenario: Scenario) -> Audio {
    match scenario {
        Scenario::Echo => Audio::Echo,
        Scenario::Tone => Audio::Play(Playlist::tone()),
        Scenario::Announcement => Audio::Play(Playlist::melody()),
        Scenario::ReadBack => {
            let mut playlist = Playlist::silence();
            playlist.push(BEEP_HZ, 200);
            Audio::Play(playlist)
        }
        Scenario::NoAnswer | Scenario::Refuse(_) => Audio::Play(Playlist::silence()),
    }
}

/// The body as text; none where there is none. What is no UTF-8 fails as SDP later.
pub(super) fn body_text(message: &Message) -> Option<String> {
    (!message.body().is_empty()).then(|| String::from_utf8_lossy(message.body()).into_owned())
}

fn status_of(error: &OfferAnswerError) -> StatusCode {
    tracing::debug!(%error, "a session description was refused");
    if error.is_not_acceptable() {
        StatusCode::NOT_ACCEPTABLE_HERE
    } else {
        StatusCode::BAD_REQUEST
    }
}
