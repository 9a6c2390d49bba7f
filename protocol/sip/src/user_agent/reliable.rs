//! Reliable provisional responses (RFC 3262): PRACK to theirs; repetition, order and PRACK of ours.

use super::api::{Body, Ending, Event, IncomingId, LegId, OutgoingRequest, Reply};
use super::extensions::ReliableProvisionals;
use super::leg::{Calling, Leg, PENDING_MAX, State};
use super::mid_call::Purpose;
use super::session_timer::OwnLines;
use super::{ActionError, UserAgent};
use crate::dialog::{Dialog, DialogId};
use crate::transaction::ServerTransactionId;
use offhook_sip_message::header::{CSeq, Header as _, RAck, RSeq};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, StatusCode};
use rand::RngExt;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Provisional responses of ours that wait until the one before is acknowledged: ringing, early media and a few more.
const WAITING_MAX: usize = 4;

/// A dialog that a provisional response to our INVITE made.
#[derive(Debug)]
pub(super) struct EarlyDialog {
    pub(super) dialog: Dialog,
    /// RSeq of the last reliable response.
    rseq: Option<u32>,
    /// Offer and answer have passed reliably.
    pub(super) agreed: bool,
}

/// A PRACK that waits for the owner's answer to the offer in the response.
#[derive(Debug, Clone)]
pub(super) struct PrackDue {
    dialog: DialogId,
    rack: RAck,
}

/// What a provisional response means to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Provisional {
    /// To be reported.
    Plain,
    /// To be reported and acknowledged.
    Reliable,
    /// Repeated, or before its turn: dropped (RFC 3262 §4).
    Dropped,
}

impl EarlyDialog {
    pub(super) fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            rseq: None,
            agreed: false,
        }
    }

    /// Takes the RSeq of a response of this dialog.
    pub(super) fn handle_rseq(&mut self, response: &Message) -> Provisional {
        let Some(rseq) = rseq_of(response) else {
            return Provisional::Plain;
        };
        match self.rseq {
            Some(last) if last.checked_add(1) != Some(rseq) => Provisional::Dropped,
            _ => {
                self.rseq = Some(rseq);
                Provisional::Reliable
            }
        }
    }
}

fn rseq_of(response: &Message) -> Option<u32> {
    let RSeq(number) = response.get::<RSeq>()?.ok()?;
    response.lists(HeaderName::Require, "100rel").then_some(number)
}

/// Our provisional responses to one INVITE.
#[derive(Debug)]
pub(super) struct Provisionals {
    /// CSeq of the INVITE.
    cseq: u32,
    next_rseq: u32,
    /// The INVITE held an offer: SDP in our response is then its answer.
    has_offer: bool,
    unacked: Option<Unacked>,
    waiting: VecDeque<Reply>,
    /// A 2xx that may go only when the SDP before it is acknowledged (§3).
    answer: Option<Reply>,
    /// Offer and answer have passed reliably.
    pub(super) agreed: bool,
}

#[derive(Debug)]
struct Unacked {
    rseq: u32,
    response: Message,
    has_sdp: bool,
    interval: Duration,
    repeat_at: Instant,
    give_up_at: Instant,
}

/// What became of a PRACK.
#[derive(Debug, PartialEq, Eq)]
enum Acked {
    /// It acknowledges what waited for it; its body, if any, is the answer to our offer.
    Now { answers: bool },
    /// It came again, or is for nothing of ours.
    Nothing,
}

impl Provisionals {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let unacked = self.unacked.as_ref()?;
        Some(unacked.repeat_at.min(unacked.give_up_at))
    }

    fn handle_rack(&mut self, rack: &RAck) -> Acked {
        let matches = rack.cseq.number == self.cseq && rack.cseq.method == Method::Invite;
        let Some(unacked) = self
            .unacked
            .take_if(|unacked| matches && unacked.rseq == rack.response)
        else {
            return Acked::Nothing;
        };
        self.agreed |= unacked.has_sdp;
        Acked::Now {
            answers: unacked.has_sdp && !self.has_offer,
        }
    }
}

impl UserAgent {
    // As caller.

    /// Acknowledges a reliable response to our INVITE, or leaves that to the owner where it has to answer an offer.
    pub(super) fn acknowledge(&mut self, now: Instant, leg_id: LegId, dialog: DialogId, response: &Message) {
        let (Some(rseq), Ok(cseq)) = (rseq_of(response), response.require::<CSeq>()) else {
            return;
        };
        let due = PrackDue {
            dialog,
            rack: RAck { response: rseq, cseq },
        };
        let Some(Leg {
            state: State::Calling(calling),
            ..
        }) = self.legs.get_mut(&leg_id)
        else {
            return;
        };
        let has_sdp = !response.body().is_empty();
        let offered = calling.plan.body.is_some();
        let Some(early) = calling
            .early
            .iter_mut()
            .find(|early| early.dialog.id == due.dialog)
        else {
            return;
        };
        if has_sdp && !offered && !early.agreed {
            calling.prack_due = Some(due);
            return;
        }
        early.agreed |= has_sdp && offered;
        self.send_prack(now, leg_id, due, None);
    }

    /// The owner's answer to the offer of a reliable response.
    pub(super) fn answer_in_prack(
        &mut self,
        now: Instant,
        leg_id: LegId,
        body: Option<Body>,
    ) -> Result<(), ActionError> {
        let nothing_owed = ActionError::State("no ACK or PRACK is owed");
        let leg = self.legs.get_mut(&leg_id).ok_or(ActionError::Gone)?;
        let State::Calling(calling) = &mut leg.state else {
            return Err(nothing_owed);
        };
        let due = calling.prack_due.take().ok_or(nothing_owed)?;
        mark_agreed(calling, &due.dialog);
        leg.local_sdp.clone_from(&body);
        self.send_prack(now, leg_id, due, body);
        Ok(())
    }

    fn send_prack(&mut self, now: Instant, leg_id: LegId, due: PrackDue, body: Option<Body>) {
        let prack = OutgoingRequest {
            method: Method::Prack,
            headers: Vec::new(),
            body,
        };
        if let Err(error) = self.send_as(now, leg_id, &due.dialog, Purpose::Prack(due.rack), prack) {
            tracing::debug!(%error, "could not acknowledge a provisional response");
        }
    }

    // As callee.

    /// Starts to answer an INVITE reliably if that is agreed on.
    pub(super) fn provisionals_for(&mut self, request: &Message) -> Option<Box<Provisionals>> {
        let required = request.lists(HeaderName::Require, "100rel");
        let supported = request.lists(HeaderName::Supported, "100rel");
        let reliable = match self.extensions.reliable_provisionals {
            ReliableProvisionals::Off => false,
            ReliableProvisionals::WhenRequired => required,
            ReliableProvisionals::WhenSupported => required || supported,
        };
        let CSeq { number, .. } = request.require().ok().filter(|_| reliable)?;
        Some(Box::new(Provisionals {
            cseq: number,
            // §3: from 1 to 2^31 - 1.
            next_rseq: self.layer.rng().random_range(1..1 << 31),
            has_offer: !request.body().is_empty(),
            unacked: None,
            waiting: VecDeque::new(),
            answer: None,
            agreed: false,
        }))
    }

    /// Sends, or keeps for its turn, an answer to an INVITE whose caller wants provisionals reliably. `None`: it is
    /// sent in the ordinary way.
    pub(super) fn answer_reliably(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        reply: &Reply,
    ) -> Option<Result<(), ActionError>> {
        let leg = self.legs.get_mut(&leg_id)?;
        let State::Ringing { .. } = leg.state else {
            return None;
        };
        let sent = leg.provisionals.as_mut()?;
        if reply.status.is_success() {
            sent.unacked.as_ref().filter(|unacked| unacked.has_sdp)?;
            sent.answer = Some(reply.clone());
            return Some(Ok(()));
        }
        if reply.status.is_final() || reply.status == StatusCode::TRYING {
            return None;
        }
        if sent.unacked.is_none() {
            return Some(self.send_reliably(now, id, leg_id, reply));
        }
        if sent.waiting.len() >= WAITING_MAX {
            return Some(Err(ActionError::State(
                "too many provisional answers wait for their PRACK",
            )));
        }
        sent.waiting.push_back(reply.clone());
        Some(Ok(()))
    }

    fn send_reliably(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        reply: &Reply,
    ) -> Result<(), ActionError> {
        let leg = self.legs.get_mut(&leg_id).ok_or(ActionError::Gone)?;
        let sent = leg.provisionals.as_mut().ok_or(ActionError::Gone)?;
        let rseq = sent.next_rseq;
        let lines: OwnLines = vec![
            (
                HeaderName::Require,
                HeaderValue::new("100rel").expect("has no line break"),
            ),
            (HeaderName::RSeq, RSeq(rseq).to_value().expect("is a number")),
        ];
        let response = self.send_response(now, id, reply, lines)?;
        let timing = self.config.timing;
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return Ok(());
        };
        if let State::Ringing { tagged, .. } = &mut leg.state {
            *tagged = true;
        }
        if reply.body.is_some() {
            leg.local_sdp.clone_from(&reply.body);
        }
        if let Some(sent) = &mut leg.provisionals {
            sent.next_rseq += 1;
            sent.unacked = Some(Unacked {
                rseq,
                response,
                has_sdp: reply.body.is_some(),
                interval: timing.t1,
                repeat_at: now + timing.t1,
                give_up_at: now + timing.give_up(),
            });
        }
        self.retime(leg_id);
        Ok(())
    }

    /// A PRACK: acknowledges, then lets go what waited for it.
    pub(super) fn handle_prack(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        request: Message,
    ) {
        let Ok(rack) = request.require::<RAck>() else {
            return self.reply(now, id, StatusCode::BAD_REQUEST);
        };
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST);
        };
        let Some(sent) = leg
            .provisionals
            .as_mut()
            .filter(|_| matches!(leg.state, State::Ringing { .. } | State::Confirmed(_)))
        else {
            return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST);
        };
        let Acked::Now { answers } = sent.handle_rack(&rack) else {
            return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST);
        };
        let (next, answer) = (sent.waiting.pop_front(), sent.answer.take());
        if request.body().is_empty() {
            self.reply(now, id, StatusCode::OK);
        } else if answers {
            self.reply(now, id, StatusCode::OK);
            self.push_event(Event::AckReceived { leg: leg_id, request });
        } else {
            self.pass_prack_offer(now, id, leg_id, request);
        }
        self.send_next(now, leg_id, next, answer);
        self.retime(leg_id);
    }

    /// A PRACK may bear an offer of its own (§5): the owner answers it like one in an UPDATE.
    fn pass_prack_offer(&mut self, now: Instant, id: ServerTransactionId, leg_id: LegId, request: Message) {
        let source = self.source_of(id);
        let leg = self.legs.get_mut(&leg_id).filter(|leg| leg.offer.is_none());
        match (leg, source) {
            (Some(leg), Some(source)) if leg.pending.len() < PENDING_MAX => {
                leg.offer = Some(id);
                leg.pending.push(id);
                self.push_event(Event::IncomingRequest {
                    leg: Some(leg_id),
                    incoming: IncomingId(id),
                    request,
                    source,
                });
            }
            _ => self.reply(now, id, StatusCode::SERVER_INTERNAL_ERROR),
        }
    }

    fn send_next(&mut self, now: Instant, leg_id: LegId, next: Option<Reply>, answer: Option<Reply>) {
        let Some(State::Ringing { invite, .. }) = self.legs.get(&leg_id).map(|leg| &leg.state) else {
            return;
        };
        let invite = *invite;
        // A 2xx makes the provisionals before it needless.
        let outcome = match (answer, next) {
            (Some(answer), _) => self.answer(now, invite, &answer),
            (None, Some(next)) => self.send_reliably(now, invite, leg_id, &next),
            (None, None) => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "could not send an answer that waited for a PRACK");
        }
    }

    /// Repeats what is not acknowledged, doubling the interval; gives up after 64 × T1 (§3).
    pub(super) fn handle_provisional_timeout(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let State::Ringing { invite, .. } = leg.state else {
            return;
        };
        let Some(unacked) = leg.provisionals.as_mut().and_then(|sent| sent.unacked.as_mut()) else {
            return;
        };
        if unacked.give_up_at <= now {
            self.reply(now, invite, StatusCode::SERVER_TIMEOUT);
            self.push_event(Event::Terminated {
                leg: leg_id,
                ending: Ending::Lost,
            });
        } else if unacked.repeat_at <= now {
            unacked.interval *= 2;
            unacked.repeat_at = now + unacked.interval;
            let response = unacked.response.clone();
            self.layer.repeat_response(invite, &response);
        }
    }
}

fn mark_agreed(calling: &mut Calling, dialog: &DialogId) {
    let early = calling.early.iter_mut().find(|early| early.dialog.id == *dialog);
    if let Some(early) = early {
        early.agreed = true;
    }
}

/// RAck, for the PRACK itself.
pub(super) fn rack_line(rack: &RAck) -> (HeaderName<'static>, HeaderValue) {
    (
        HeaderName::RAck,
        rack.to_value().expect("numbers and a method hold no line break"),
    )
}
