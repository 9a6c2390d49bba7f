//! Another party takes the place of a leg: readied beside it, put in its place once it has answered.

use super::media::leg_text;
use super::{MediaSession, Output, check_sdp_len, new_rtp_side, other, wrong_state};
use crate::leg::{Inbound, Leg, Outbound, Transport, sdp_error};
use crate::outbox::Outbox;
use crate::params::RtpPort;
use crate::stream::OutgoingStream;
use offhook_media_control::{CommandError, LegName, Reply};
use offhook_offer_answer::{Direction, answer_order};
use offhook_rtp::Ssrc;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Instant;

/// A leg that waits for its answer.
#[derive(Debug)]
pub(super) struct Replacement {
    leg: Leg,
    /// The other leg hears ringback in place of the one that is to go.
    ringback: bool,
}

impl MediaSession {
    /// Readies a plain RTP leg at `port` that is to take the place of `name`, and offers it to the new party. With
    /// `ringback` the other leg hears that instead of the leg in place.
    ///
    /// # Errors
    /// One is readied already, or the session is not answered yet. The port is then the caller's again.
    pub fn prepare_replacement(
        &mut self,
        now: Instant,
        name: LegName,
        ringback: bool,
        port: RtpPort,
        rng: &mut StdRng,
    ) -> Result<Reply, CommandError> {
        if self.replacement.is_some() {
            return Err(wrong_state("a leg of this session is being replaced already"));
        }
        if !self.offerer_answered {
            return Err(wrong_state("the session's first offer is not answered yet"));
        }
        let codecs = answer_order(self.leg(other(name)).codecs(), self.params.prefer);
        let side = new_rtp_side(&self.params, port, codecs, rng);
        let stream = OutgoingStream::random(Ssrc(rng.random()), rng);
        let mut leg = Leg {
            name,
            transport: Transport::Rtp(Box::new(side)),
            inbound: Inbound::default(),
            outbound: Outbound::new(stream, self.leg(name).outbound.own.comfort()),
        };
        leg.ask_for(self.leg(other(name)).opus_wishes());
        let offer = leg.offer(Direction::SendRecv);
        self.replacement = Some(Box::new(Replacement { leg, ringback }));
        if ringback {
            let stays = self.leg_mut(other(name));
            stays.outbound.reset_source();
            stays.outbound.own.set_ringing(true);
            self.start_clocks(now);
        }
        self.reschedule();
        Ok(Reply::Offered { offer })
    }

    /// The new party has answered: it takes the place of `name`, whose peer is said goodbye to.
    ///
    /// # Errors
    /// Nothing is readied for that leg, or what is wrong with the SDP; the session is then as it was.
    pub fn replace(
        &mut self,
        now: Instant,
        name: LegName,
        sdp: &str,
        out: &mut Outbox,
    ) -> Result<Reply, CommandError> {
        check_sdp_len(sdp)?;
        let mut replacement = self
            .replacement
            .take_if(|replacement| replacement.leg.name == name)
            .ok_or_else(|| wrong_state("nothing was readied to replace this leg"))?;
        if let Err(error) = replacement.leg.handle_answer(now, sdp) {
            self.replacement = Some(replacement);
            return Err(sdp_error(name, &error));
        }
        let mut old = std::mem::replace(self.leg_mut(name), replacement.leg);
        old.send_goodbye(&self.cname, &mut self.scratch, out);
        if let Transport::WebRtc(side) = &mut old.transport {
            side.leg.close(now);
            side.drain(out);
        }
        self.replaced_frames += old.outbound.transcoded_frames;
        self.outputs.push_back(Output::LegRenewed(name));
        if name == LegName::Client {
            self.held = false;
            self.carrier.outbound.own.stop();
        }
        self.leg_mut(other(name)).outbound.own.set_ringing(false);
        self.upkeep.expect_media(now);
        self.choose_codecs(now);
        self.trace(format!("replaced {}", leg_text(name)), "");
        self.trace_codecs();
        self.reschedule();
        Ok(Reply::Done {})
    }

    /// The new party does not come: all goes on as before.
    pub fn drop_replacement(&mut self, now: Instant) -> Reply {
        if let Some(replacement) = self.replacement.take() {
            let stays = other(replacement.leg.name);
            self.leg_mut(stays).outbound.own.set_ringing(false);
            self.choose_codecs(now);
            self.reschedule();
        }
        Reply::Done {}
    }

    /// Whether either leg speaks WebRTC.
    pub fn has_webrtc(&self) -> bool {
        self.client.ufrag().is_some() || self.carrier.ufrag().is_some()
    }

    /// Whether what comes from this leg is kept from the other one.
    #[inline]
    pub(super) fn keeps_back(&self, from: LegName) -> bool {
        let goes = |replacement: &Replacement| replacement.ringback && replacement.leg.name == from;
        self.held || self.replacement.as_deref().is_some_and(goes)
    }
}
