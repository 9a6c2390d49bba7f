//! The end of a call (RFC 3261 §15), and the calls' own timers.

use super::api::{ActionError, Ending, Event, IncomingId, LegId, OutgoingRequest, Reply};
use super::leg::{Closing, ClosingPhase, Leg, State};
use super::uac::accepts_challenge;
use super::{ClientUse, UserAgent};
use crate::extra_header::Header;
use offhook_sip_message::{Message, Method, StatusCode};
use std::time::Instant;

impl UserAgent {
    /// Ends an answered call. `Terminated(Local)` follows at once; the BYE is repeated in the background.
    pub fn bye(&mut self, now: Instant, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Confirmed(_)) => {}
            Some(State::Calling(_) | State::Ringing { .. }) => {
                return Err(ActionError::State(
                    "a call that is not answered is cancelled or rejected",
                ));
            }
            Some(State::Closing(_)) | None => return Err(ActionError::Gone),
        }
        self.close(now, leg, headers);
        self.push_event(Event::Terminated {
            leg,
            ending: Ending::Local,
        });
        self.pump(now);
        Ok(())
    }

    /// Ends a call in whatever state: CANCEL, `status` or BYE. `headers` go into that message.
    pub fn hang_up(
        &mut self,
        now: Instant,
        leg: LegId,
        status: StatusCode,
        headers: Vec<Header>,
    ) -> Result<(), ActionError> {
        match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Calling(_)) => self.cancel(now, leg, headers),
            Some(State::Ringing { invite, .. }) => {
                let incoming = IncomingId(*invite);
                let reply = Reply {
                    headers,
                    ..Reply::new(status)
                };
                self.respond(now, incoming, reply)
            }
            Some(State::Confirmed(_)) => self.bye(now, leg, headers),
            Some(State::Closing(_)) | None => Err(ActionError::Gone),
        }
    }

    /// From Confirmed to Closing: pays what is owed, then BYE as soon as it may go. Says nothing to the owner.
    pub(super) fn close(&mut self, now: Instant, leg_id: LegId, headers: Vec<Header>) {
        self.send_due_ack(leg_id, None);
        self.refuse_pending(now, leg_id);
        self.drop_own_offer(now, leg_id);
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let State::Confirmed(confirmed) = &mut leg.state else {
            return;
        };
        let dialog = confirmed.dialog.clone();
        // §15: the callee waits for the ACK, or until there will be none.
        let unacked = confirmed.unacked.take().filter(|_| !confirmed.is_caller);
        let waits = unacked.is_some();
        leg.state = State::Closing(Box::new(Closing {
            dialog,
            headers,
            phase: ClosingPhase::from(unacked),
        }));
        if !waits {
            self.send_bye(now, leg_id);
        }
        self.retime(leg_id);
    }

    /// Sends the BYE of a closing call, the first time or again with credentials.
    pub(super) fn send_bye(&mut self, now: Instant, leg_id: LegId) {
        let Some(Leg {
            state: State::Closing(closing),
            ..
        }) = self.legs.get(&leg_id)
        else {
            return;
        };
        let bye = OutgoingRequest {
            method: Method::Bye,
            headers: closing.headers.clone(),
            body: None,
        };
        let dialog = closing.dialog.id.clone();
        let sent = self
            .send_in_dialog(now, leg_id, &dialog, None, &bye)
            .or_else(|_| {
                // Headers of the owner that do not fit must not keep the call alive.
                let plain = OutgoingRequest {
                    headers: Vec::new(),
                    ..bye
                };
                self.send_in_dialog(now, leg_id, &dialog, None, &plain)
            });
        let Ok((transaction, ..)) = sent else {
            return self.remove_leg(now, leg_id);
        };
        self.clients.insert(transaction, ClientUse::Bye(leg_id));
        if let Some(Leg {
            state: State::Closing(closing),
            ..
        }) = self.legs.get_mut(&leg_id)
        {
            closing.phase = ClosingPhase::ByeSent;
        }
        self.retime(leg_id);
    }

    pub(super) fn handle_bye_response(&mut self, now: Instant, leg_id: LegId, response: &Message) {
        if response.status().is_some_and(|status| status.is_provisional()) {
            return;
        }
        let cnonce = self.layer.tag();
        let auth = self.legs.get_mut(&leg_id).and_then(|leg| leg.auth.as_mut());
        if accepts_challenge(auth, response, &cnonce) {
            self.send_bye(now, leg_id);
        } else {
            self.remove_leg(now, leg_id);
        }
    }

    pub(super) fn handle_leg_timeout(&mut self, now: Instant, leg_id: LegId) {
        let t2 = self.config.timing.t2;
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        match &leg.state {
            State::Calling(calling) if calling.until <= now => {
                // `Failed` follows when the CANCEL has done its work.
                if self.cancel(now, leg_id, Vec::new()).is_err() {
                    self.remove_leg(now, leg_id);
                }
                return;
            }
            State::Ringing { until, invite, .. } if *until <= now => {
                let invite = *invite;
                self.reply(now, invite, StatusCode::TEMPORARILY_UNAVAILABLE);
                return self.push_event(Event::Terminated {
                    leg: leg_id,
                    ending: Ending::Unanswered,
                });
            }
            State::Ringing { .. } => self.handle_provisional_timeout(now, leg_id),
            State::Calling(_) | State::Confirmed(_) | State::Closing(_) => {}
        }
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        if let Some(unacked) = leg.unacked() {
            if unacked.give_up_at <= now {
                self.give_up_on_ack(now, leg_id);
            } else if unacked.repeat_at <= now {
                unacked.interval = (unacked.interval * 2).min(t2);
                unacked.repeat_at = now + unacked.interval;
                let (transaction, response) = (unacked.transaction, unacked.response.clone());
                self.layer.repeat_response(transaction, &response);
            }
        }
        let waited = self.legs.get(&leg_id).is_some_and(|leg| leg.glare_over(now));
        if waited {
            self.retry_offer(now, leg_id);
        }
        self.handle_transfer_timeout(now, leg_id);
        self.handle_session_timeout(now, leg_id);
    }

    /// §13.3.1.4: the dialog stands, so the session is ended with BYE.
    fn give_up_on_ack(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        match &mut leg.state {
            State::Confirmed(confirmed) => {
                confirmed.unacked = None;
                self.close(now, leg_id, Vec::new());
                self.push_event(Event::Terminated {
                    leg: leg_id,
                    ending: Ending::AckMissing,
                });
            }
            State::Closing(_) => self.send_bye(now, leg_id),
            State::Calling(_) | State::Ringing { .. } => {}
        }
    }
}
