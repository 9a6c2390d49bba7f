//! What signalling asks of a running session.

use super::{MediaSession, Output, busy, check_sdp_len, new_webrtc_side, other, wrong_state};
use crate::leg::{Transport, sdp_error};
use crate::outbox::Outbox;
use crate::webrtc_leg::for_description;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, DTMF_DIGITS_MAX, Direction, Latching, LegName, Reply,
    SessionSummary, Sound,
};
use offhook_offer_answer as offer_answer;
use offhook_offer_answer::{Codec, answer_order};
use rand::rngs::StdRng;
use std::time::Instant;

impl MediaSession {
    /// Does what signalling asks. What opens, closes, or needs ports has functions of its own and is refused here:
    /// [`Self::open`], [`Self::close`], [`Self::prepare_replacement`], [`Self::replace`], [`Self::drop_replacement`].
    ///
    /// # Errors
    /// Why it was not done; the session is then as it was.
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: &Command,
        rng: &mut StdRng,
    ) -> Result<Reply, CommandError> {
        let reply = match command {
            Command::Answer { from, sdp, .. } => self.answer(now, *from, sdp),
            Command::Reoffer { from, sdp, .. } => self.reoffer(now, *from, sdp, rng),
            Command::MakeOffer {
                to, direction, renew, ..
            } => self.make_offer(now, *to, *direction, *renew, rng),
            // A lite agent answers checks and never sends any, so it has no use for candidates (RFC 8445 §2.5).
            Command::Candidate { .. } => Ok(Reply::Done {}),
            Command::Ringing { .. } => {
                self.ring(now);
                Ok(Reply::Done {})
            }
            Command::Dtmf {
                to,
                digits,
                duration_ms,
                ..
            } => self.dtmf(now, *to, digits, *duration_ms),
            Command::Hold { held, .. } => self.hold(now, *held),
            Command::Play {
                to,
                sound,
                repeat,
                yields,
                ..
            } => self.play(now, *to, sound, *repeat, *yields),
            Command::StopPlaying { to, .. } => {
                self.leg_mut(*to).outbound.own.stop();
                Ok(Reply::Done {})
            }
            Command::Latch { leg, latching, .. } => self.latch(now, *leg, *latching),
            Command::Open { .. }
            | Command::PrepareReplacement { .. }
            | Command::Replace { .. }
            | Command::DropReplacement { .. }
            | Command::Close { .. }
            | Command::Ping {} => Err(wrong_state("not a command for a running session")),
        };
        self.reschedule();
        reply
    }

    /// Says goodbye to both peers and tells how the session went.
    pub fn close(&mut self, now: Instant, out: &mut Outbox) -> SessionSummary {
        for leg in [&mut self.client, &mut self.carrier] {
            leg.send_goodbye(&self.cname, &mut self.scratch, out);
            if let Transport::WebRtc(side) = &mut leg.transport {
                side.leg.close(now);
                side.drain(out);
            }
        }
        self.summary(now)
    }

    fn answer(&mut self, now: Instant, from: LegName, sdp: &str) -> Result<Reply, CommandError> {
        check_sdp_len(sdp)?;
        self.leg_mut(from)
            .handle_answer(now, sdp)
            .map_err(|error| sdp_error(from, &error))?;
        let mut answer = None;
        if from != self.offerer && !self.offerer_answered {
            let order = answer_order(self.leg(from).codecs(), self.params.prefer);
            let (offerer, wants_offer) = (self.offerer, self.wants_offer);
            self.pass_wishes_to(offerer);
            let leg = self.leg_mut(offerer);
            let text = match wants_offer {
                true => {
                    leg.prefer(&order);
                    leg.offer(offer_answer::Direction::SendRecv)
                }
                false => leg
                    .answer(now, &order, offer_answer::Direction::SendRecv)
                    .map_err(|error| sdp_error(offerer, &error))?,
            };
            self.offerer_answered = true;
            answer = Some(text);
        }
        self.upkeep.expect_media(now);
        self.choose_codecs(now);
        self.trace_codecs();
        Ok(Reply::Answered { answer })
    }

    fn reoffer(
        &mut self,
        now: Instant,
        from: LegName,
        sdp: &str,
        rng: &mut StdRng,
    ) -> Result<Reply, CommandError> {
        check_sdp_len(sdp)?;
        if from == self.offerer && !self.offerer_answered {
            return Err(wrong_state("the leg's first offer is not answered yet"));
        }
        let order = answer_order(self.leg(other(from)).codecs(), self.params.prefer);
        let allowed = self.allowed();
        self.pass_wishes_to(from);
        let leg = self.leg_mut(from);
        let change = leg
            .handle_offer(now, sdp)
            .map_err(|error| sdp_error(from, &error))?;
        if change.ice_restart
            && let Transport::WebRtc(side) = &mut leg.transport
        {
            let fresh = for_description(side.leg.restart_ice(rng));
            side.negotiation.set_local_ice(fresh);
        }
        let answer = leg
            .answer(now, &order, allowed)
            .map_err(|error| sdp_error(from, &error))?;
        let direction = leg.peer_direction();
        if change.ice_restart {
            self.trace("ice-restart", "");
            self.note_ufrags();
        }
        self.choose_codecs(now);
        Ok(Reply::Reoffered {
            answer,
            direction: control_direction(direction),
        })
    }

    fn make_offer(
        &mut self,
        now: Instant,
        to: LegName,
        direction: Direction,
        renew: bool,
        rng: &mut StdRng,
    ) -> Result<Reply, CommandError> {
        if renew {
            self.renew(now, to, rng)?;
        }
        self.pass_wishes_to(to);
        let offer = self.leg_mut(to).offer(sdp_direction(direction));
        Ok(Reply::Offered { offer })
    }

    /// Starts a WebRTC leg anew: fresh ICE and DTLS, the same outgoing stream. An RTP leg has nothing to renew.
    fn renew(&mut self, now: Instant, to: LegName, rng: &mut StdRng) -> Result<(), CommandError> {
        let params = self.params.clone();
        let cname = self.cname.clone();
        let leg = self.leg_mut(to);
        let ssrc = leg.outbound.stream.ssrc().0;
        let Transport::WebRtc(side) = &mut leg.transport else {
            return Ok(());
        };
        **side = new_webrtc_side(&params, &cname, ssrc, Codec::ALL.to_vec(), rng)?;
        leg.outbound.stream.rekeyed();
        self.bridge = None;
        self.leg_mut(other(to)).outbound.source_gone(now);
        self.outputs.push_back(Output::LegRenewed(to));
        self.note_ufrags();
        self.trace("renewed", "");
        Ok(())
    }

    /// What an RTP peer may be told of us: one that is held goes on being held, whatever it offers (RFC 6337 §5.3).
    fn allowed(&self) -> offer_answer::Direction {
        offer_answer::Direction::new(true, !self.held)
    }

    /// Both are kept from each other; the carrier hears what the operator has chosen for that.
    fn hold(&mut self, now: Instant, held: bool) -> Result<Reply, CommandError> {
        if std::mem::replace(&mut self.held, held) != held {
            match held {
                true => return self.play(now, LegName::Carrier, &Sound::Hold, true, false),
                false => self.carrier.outbound.own.stop(),
            }
        }
        self.start_clocks(now);
        Ok(Reply::Done {})
    }

    fn play(
        &mut self,
        now: Instant,
        to: LegName,
        sound: &Sound,
        repeat: bool,
        yields: bool,
    ) -> Result<Reply, CommandError> {
        let tones = self.params.tones.clone();
        let clip = tones.sound(sound).ok_or_else(|| CommandError {
            kind: CommandErrorKind::UnknownSound,
            message: format!("{sound:?} is none of the sounds of b2bua_rtc.sounds"),
        })?;
        self.leg_mut(to).outbound.play(clip.clone(), repeat, yields);
        self.start_clocks(now);
        Ok(Reply::Done {})
    }

    fn latch(
        &mut self,
        now: Instant,
        leg: LegName,
        latching: Option<Latching>,
    ) -> Result<Reply, CommandError> {
        let latching = latching.unwrap_or(self.params.latching.latching);
        match &mut self.leg_mut(leg).transport {
            Transport::Rtp(side) => {
                side.set_latching(now, latching);
                Ok(Reply::Done {})
            }
            Transport::WebRtc(_) => Err(wrong_state("a WebRTC leg takes packets by its ICE checks alone")),
        }
    }

    fn ring(&mut self, now: Instant) {
        if !self.carrier.inbound.flowing {
            self.client.outbound.own.set_ringing(true);
            if self.client.takes_media() {
                self.client.outbound.start_clock(now);
            }
        }
    }

    fn dtmf(
        &mut self,
        now: Instant,
        to: LegName,
        digits: &str,
        duration_ms: u16,
    ) -> Result<Reply, CommandError> {
        if digits.chars().count() > DTMF_DIGITS_MAX {
            return Err(busy("more digits than one command may carry; send them in parts"));
        }
        let leg = self.leg_mut(to);
        let events = leg.telephone_events();
        if !leg.takes_media() {
            return Ok(Reply::DtmfTaken {
                as_telephone_event: false,
            });
        }
        let as_telephone_event = leg
            .outbound
            .push_digits(events, digits, duration_ms)
            .map_err(|error| busy(&error.to_string()))?;
        leg.outbound.start_clock(now);
        Ok(Reply::DtmfTaken { as_telephone_event })
    }

    pub(super) fn trace_codecs(&mut self) {
        let Some(bridge) = &self.bridge else {
            return;
        };
        let name = |codec: Codec| codec.encoding_name();
        let text = |routes: &[offer_answer::Route]| {
            routes
                .first()
                .map(|route| format!("{} → {}", name(route.received.codec), name(route.sent.codec)))
                .unwrap_or_default()
        };
        let detail = format!(
            "client to carrier {}; carrier to client {}",
            text(&bridge.to_carrier),
            text(&bridge.to_client)
        );
        self.trace("codecs", detail);
    }
}

fn control_direction(direction: offer_answer::Direction) -> Direction {
    match direction {
        offer_answer::Direction::SendRecv => Direction::SendRecv,
        offer_answer::Direction::SendOnly => Direction::SendOnly,
        offer_answer::Direction::RecvOnly => Direction::RecvOnly,
        offer_answer::Direction::Inactive => Direction::Inactive,
    }
}

fn sdp_direction(direction: Direction) -> offer_answer::Direction {
    match direction {
        Direction::SendRecv => offer_answer::Direction::SendRecv,
        Direction::SendOnly => offer_answer::Direction::SendOnly,
        Direction::RecvOnly => offer_answer::Direction::RecvOnly,
        Direction::Inactive => offer_answer::Direction::Inactive,
    }
}
