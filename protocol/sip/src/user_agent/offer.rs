//! Our re-INVITEs and UPDATEs with an offer: one at a time, tried again after 491 (RFC 3261 §14.1, RFC 3311 §5).

use super::api::{ActionError, Event, Failure, LegId, OutgoingRequest, RequestId};
use super::extensions::Notice;
use super::leg::{AckDue, GLARE_RETRIES_MAX, Leg, OfferPhase, OwnOffer, State};
use super::mid_call::Purpose;
use super::uac::{InviteUse, accepts_challenge};
use super::{ClientUse, UserAgent};
use crate::transaction::ClientTransactionId;
use offhook_sip_message::header::CSeq;
use offhook_sip_message::{Message, Method, StatusCode};
use rand::RngExt;
use std::time::{Duration, Instant};

impl Leg {
    /// Our offer in transaction `id`, if it is still the current one.
    pub(super) fn take_offer(&mut self, id: ClientTransactionId) -> Option<OwnOffer> {
        self.own_offer
            .take_if(|offer| offer.phase == OfferPhase::Sent(id))
    }
}

impl UserAgent {
    /// Sends a re-INVITE, or an UPDATE with an offer, the first time or again.
    pub(super) fn send_offer(
        &mut self,
        now: Instant,
        leg_id: LegId,
        request: Option<RequestId>,
        outgoing: OutgoingRequest,
        retries: u32,
    ) -> Result<(), ActionError> {
        let dialog = self.dialog(leg_id).map(|dialog| dialog.id.clone());
        let dialog = dialog.ok_or(ActionError::State("the call has no dialog of its own"))?;
        let (transaction, message, flow) = self.send_in_dialog(now, leg_id, &dialog, None, &outgoing)?;
        if outgoing.method == Method::Invite {
            let sticky = self.legs.get(&leg_id).map(|leg| leg.sticky.clone());
            let invite = InviteUse {
                leg: leg_id,
                request: message,
                flow,
                is_reinvite: true,
                sticky: sticky.unwrap_or_default(),
                acks: Vec::new(),
            };
            self.clients
                .insert(transaction, ClientUse::Invite(Box::new(invite)));
        } else {
            let purpose = request.map_or(Purpose::Refresh, Purpose::Owner);
            self.track(transaction, leg_id, purpose, outgoing.clone());
        }
        if let Some(leg) = self.legs.get_mut(&leg_id) {
            leg.own_offer = Some(OwnOffer {
                request,
                outgoing,
                retries,
                phase: OfferPhase::Sent(transaction),
                refusal: None,
            });
        }
        self.retime(leg_id);
        Ok(())
    }

    /// The re-INVITE `id` of the call, if it is still the current one.
    fn take_reinvite(&mut self, id: ClientTransactionId) -> Option<(LegId, OwnOffer)> {
        let Some(ClientUse::Invite(invite)) = self.clients.get(&id) else {
            return None;
        };
        let leg_id = invite.leg;
        let offer = self.legs.get_mut(&leg_id)?.take_offer(id)?;
        Some((leg_id, offer))
    }

    pub(super) fn handle_reinvite_accepted(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        response: Message,
    ) {
        let Some((leg_id, offer)) = self.take_reinvite(id) else {
            return;
        };
        let cseq = response.require::<CSeq>().map_or(0, |cseq| cseq.number);
        if let Some(leg) = self.legs.get_mut(&leg_id) {
            if let State::Confirmed(confirmed) = &mut leg.state {
                confirmed.ack_due = Some(AckDue {
                    transaction: id,
                    cseq,
                });
            }
            if let Some(auth) = &mut leg.auth {
                auth.handle_accepted();
            }
        }
        self.handle_session_2xx(now, leg_id, &response);
        if let Some(body) = offer.outgoing.body {
            self.send_due_ack(leg_id, None);
            self.keep_local_sdp(leg_id, body);
        }
        match offer.request {
            Some(request) => self.push_event(Event::Response {
                request,
                leg: Some(leg_id),
                response,
            }),
            None => self.push_notice(Notice::SessionRefreshed {
                leg: leg_id,
                response,
            }),
        }
        self.retime(leg_id);
    }

    fn keep_local_sdp(&mut self, leg: LegId, body: super::Body) {
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.local_sdp = Some(body);
        }
    }

    /// A 2xx to a request of ours that refreshes target and session (§12.2.1.2, RFC 4028 §7.2).
    pub(super) fn handle_session_2xx(&mut self, now: Instant, leg_id: LegId, response: &Message) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        leg.peer.learn(response);
        if let Some(dialog) =
            crate::dialog::DialogId::of_response(response).and_then(|id| leg.dialog_mut(&id))
        {
            dialog.refresh_target(response);
        }
        if let State::Confirmed(_) = leg.state {
            leg.session
                .handle_2xx(now, &self.extensions.session_timer, response);
        }
        self.retime(leg_id);
    }

    pub(super) fn handle_reinvite_rejected(
        &mut self,
        now: Instant,
        id: ClientTransactionId,
        response: Message,
    ) {
        let Some((leg_id, offer)) = self.take_reinvite(id) else {
            return;
        };
        let cnonce = self.layer.tag();
        let settings = &self.extensions.session_timer;
        let worthwhile = self.legs.get_mut(&leg_id).is_some_and(|leg| {
            leg.session.accepts_min_se(settings, &response)
                || accepts_challenge(leg.auth.as_mut(), &response, &cnonce)
        });
        self.settle_rejected(now, leg_id, offer, worthwhile, response);
    }

    /// The final answer to an UPDATE with an offer; `worthwhile` if it can be sent again at once.
    pub(super) fn settle_update(
        &mut self,
        now: Instant,
        leg_id: LegId,
        offer: OwnOffer,
        worthwhile: bool,
        response: Message,
    ) {
        if !response.status().is_some_and(StatusCode::is_success) {
            return self.settle_rejected(now, leg_id, offer, worthwhile, response);
        }
        self.handle_session_2xx(now, leg_id, &response);
        if let Some(body) = offer.outgoing.body {
            self.keep_local_sdp(leg_id, body);
        }
        if let Some(request) = offer.request {
            self.push_event(Event::Response {
                request,
                leg: Some(leg_id),
                response,
            });
        }
    }

    /// Sends again what was challenged, waits after a 491, else tells the owner.
    fn settle_rejected(
        &mut self,
        now: Instant,
        leg_id: LegId,
        mut offer: OwnOffer,
        worthwhile: bool,
        response: Message,
    ) {
        let Some(status) = response.status() else { return };
        if worthwhile
            && self
                .send_offer(now, leg_id, offer.request, offer.outgoing.clone(), offer.retries)
                .is_ok()
        {
            return;
        }
        if status == StatusCode::REQUEST_PENDING && offer.retries < GLARE_RETRIES_MAX {
            let wait = self.glare_wait(leg_id);
            offer.refusal = Some(response);
            offer.phase = OfferPhase::Waiting { until: now + wait };
            if let Some(leg) = self.legs.get_mut(&leg_id) {
                leg.own_offer = Some(offer);
            }
            return self.retime(leg_id);
        }
        if let Some(request) = offer.request {
            self.push_event(Event::Response {
                request,
                leg: Some(leg_id),
                response,
            });
        }
        self.end_if_forgotten(now, leg_id, status);
    }

    pub(super) fn handle_reinvite_lost(&mut self, now: Instant, id: ClientTransactionId, failure: Failure) {
        let Some((leg_id, offer)) = self.take_reinvite(id) else {
            return;
        };
        if let Some(request) = offer.request {
            self.push_event(Event::RequestFailed {
                request,
                leg: Some(leg_id),
                failure,
            });
        }
        self.end_if_forgotten(now, leg_id, StatusCode::REQUEST_TIMEOUT);
    }

    /// §14.1: in units of 10 ms, 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other.
    fn glare_wait(&mut self, leg: LegId) -> Duration {
        let is_caller = match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Confirmed(confirmed)) => confirmed.is_caller,
            Some(State::Calling(_)) => true,
            Some(State::Ringing { .. } | State::Closing(_)) | None => false,
        };
        let tens_of_ms = if is_caller {
            self.layer.rng().random_range(210..=400)
        } else {
            self.layer.rng().random_range(0..=200)
        };
        Duration::from_millis(10 * tens_of_ms)
    }

    /// The wait after 491 is over.
    pub(super) fn retry_offer(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let Some(mut offer) = leg.own_offer.take() else {
            return;
        };
        if leg.offer.is_some() || !leg.is_agreed() {
            // Theirs came in the meantime and goes first.
            offer.phase = OfferPhase::Waiting {
                until: now + self.config.timing.t1,
            };
            leg.own_offer = Some(offer);
            return;
        }
        let (request, retries) = (offer.request, offer.retries + 1);
        let sent = self.send_offer(now, leg_id, request, offer.outgoing, retries);
        if let (Err(_), Some(request)) = (sent, request) {
            self.push_event(Event::RequestFailed {
                request,
                leg: Some(leg_id),
                failure: Failure::Transport,
            });
        }
    }

    /// Theirs is agreed on while ours waits after a 491: what ours says is out of date (RFC 3264 §8), so its owner makes a new
    /// one. A refresh of ours is no longer needed.
    pub(super) fn overtake_own_offer(&mut self, leg_id: LegId) {
        let leg = self.legs.get_mut(&leg_id);
        let waiting = |offer: &mut OwnOffer| matches!(offer.phase, OfferPhase::Waiting { .. });
        let overtaken = leg.and_then(|leg| leg.own_offer.take_if(waiting));
        if let Some(OwnOffer {
            request: Some(request),
            refusal: Some(response),
            ..
        }) = overtaken
        {
            self.push_event(Event::Response {
                request,
                leg: Some(leg_id),
                response,
            });
        }
    }

    /// An offer that waits while its call ends: a re-INVITE is cancelled, so that it ends for certain, whatever the
    /// other side does.
    pub(super) fn drop_own_offer(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let Some(offer) = leg.own_offer.take() else {
            return;
        };
        if let OfferPhase::Sent(transaction) = offer.phase
            && offer.outgoing.method == Method::Invite
            && let Err(error) = self.layer.cancel(now, transaction, &leg.sticky)
        {
            tracing::debug!(%error, "the re-INVITE of a call that ends was answered just now");
        }
    }
}
