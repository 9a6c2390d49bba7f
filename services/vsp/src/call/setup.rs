//! From the client's invite to the far end's answer.

use super::{Action, Active, Asked, Call, CallTimer, ClientAnswer, Purpose, State};
use crate::limits::{CANDIDATES_QUEUED_MAX, CLOSE_WAIT_MAX};
use crate::output::{EndedBy, Note};
use crate::translate::{self, End};
use offhook_media_control::{Command, CommandError, LegName, Reply};
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{ErrorCode, HoldState, ResultBody, RpcError, ServerMessage};
use serde_json::json;
use std::collections::VecDeque;
use std::time::Instant;

/// How SIP refused an INVITE.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Status; 408 and 503 stand for no answer and no way.
    pub(crate) status: u16,
    /// Reason phrase.
    pub(crate) reason: String,
    /// Cause of Q.850 in a `Reason` header.
    pub(crate) q850: Option<u16>,
    /// `X-` headers of the response.
    pub(crate) headers: Vec<CustomHeader>,
}

impl Call {
    /// Asks the gateway for a session, from the client's offer.
    pub(crate) fn open(&mut self, now: Instant, sdp: String, early_answer: bool, out: &mut Vec<Action>) {
        let State::Opening { ring_timeout, .. } = &self.state else {
            return;
        };
        out.push(Action::Deadline(CallTimer::State, Some(now + *ring_timeout)));
        let (session, call_id) = (self.media.clone(), self.id.clone());
        let open = Command::Open {
            session,
            call_id,
            from: LegName::Client,
            sdp: Some(sdp),
            early_answer,
        };
        out.push(Action::Media(open, Purpose::Open));
    }

    pub(super) fn on_opened(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.state, State::Opening { .. }) {
            return;
        }
        let (offer, answer) = match reply {
            Ok(Reply::Opened { offer, answer }) => (offer, answer),
            Ok(_) => return self.end(now, EndedBy::Gateway, translate::MEDIA_GATEWAY_LOST, out),
            Err(error) => {
                return self.end(
                    now,
                    EndedBy::Gateway,
                    translate::end_of_command_error(error.kind),
                    out,
                );
            }
        };
        let inviting = State::Inviting {
            rung: false,
            carrier_sdp: false,
            early_answer: answer.is_some(),
        };
        let State::Opening {
            outgoing,
            candidates,
            ring_timeout,
        } = std::mem::replace(&mut self.state, inviting)
        else {
            return;
        };
        for candidate in candidates {
            let command = Command::Candidate {
                session: self.media.clone(),
                candidate,
            };
            out.push(Action::Media(command, Purpose::Nothing));
        }
        if let Some(sdp) = answer {
            self.give_media(sdp, Vec::new(), out);
        }
        out.push(Action::Invite(outgoing, offer));
        out.push(Action::Deadline(CallTimer::State, Some(now + ring_timeout)));
    }

    /// A provisional response to the INVITE.
    pub(crate) fn on_provisional(
        &mut self,
        status: u16,
        sdp: Option<String>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        let State::Inviting {
            rung,
            carrier_sdp,
            early_answer,
        } = &mut self.state
        else {
            return;
        };
        let rings = !*rung && (status == 180 || sdp.is_some());
        *rung |= rings;
        // A client that had its answer before cannot tell by itself that this is no ringback any more.
        let tells_early_media = sdp.is_some() && !*carrier_sdp && *early_answer;
        *carrier_sdp |= sdp.is_some();
        let ringback = rings && sdp.is_none() && *early_answer;
        if rings {
            out.push(Action::Client(self.ringing(headers.clone())));
        }
        if tells_early_media {
            out.push(Action::Client(self.event(json!({"kind": "earlyMedia"}))));
        }
        if let Some(sdp) = sdp {
            out.push(Action::Media(
                self.carrier_answer(sdp, false),
                Purpose::EarlyAnswer(headers),
            ));
        } else if ringback {
            let session = self.media.clone();
            out.push(Action::Media(Command::Ringing { session }, Purpose::Nothing));
        }
    }

    pub(super) fn on_early_answer(
        &mut self,
        reply: Result<Reply, CommandError>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        // An error here decides nothing: the far end may still answer with something better.
        if let (true, Ok(Reply::Answered { answer: Some(sdp) })) = (self.is_live(), reply)
            && matches!(self.client_answer, ClientAnswer::None)
        {
            self.give_media(sdp, headers, out);
        }
    }

    /// The far end has answered.
    pub(crate) fn on_answered(
        &mut self,
        now: Instant,
        sdp: Option<String>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        let State::Inviting { carrier_sdp, .. } = self.state else {
            return;
        };
        self.state = State::Answering;
        out.push(Action::Deadline(CallTimer::State, Some(now + CLOSE_WAIT_MAX)));
        match sdp {
            Some(sdp) => {
                out.push(Action::Media(
                    self.carrier_answer(sdp, true),
                    Purpose::FinalAnswer(headers),
                ));
            }
            None if carrier_sdp => self.become_active(now, None, headers, out),
            None => self.end(now, EndedBy::Vsp, End::UNUSABLE_ANSWER, out),
        }
    }

    pub(super) fn on_final_answer(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.state, State::Answering) {
            return;
        }
        match (reply, &self.client_answer) {
            (Ok(Reply::Answered { answer: Some(sdp) }), ClientAnswer::None) => {
                self.client_answer = ClientAnswer::Sent(sdp.clone());
                self.become_active(now, Some(sdp), headers, out);
            }
            (Ok(Reply::Answered { answer: None }), ClientAnswer::None) | (Ok(_), ClientAnswer::None) => {
                self.end(now, EndedBy::Gateway, End::UNUSABLE_ANSWER, out);
            }
            (Ok(_), _) => self.become_active(now, None, headers, out),
            (Err(error), _) => self.end(
                now,
                EndedBy::Gateway,
                translate::end_of_command_error(error.kind),
                out,
            ),
        }
    }

    fn become_active(
        &mut self,
        now: Instant,
        sdp: Option<String>,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        self.activate(now, out);
        if let State::Active(active) = &mut self.state {
            active.acknowledged = false;
        }
        out.push(Action::Client(self.answer(sdp, headers)));
    }

    /// The one way into `Active`.
    pub(super) fn activate(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.state = State::Active(Box::new(Active {
            since: now,
            acknowledged: true,
            hold: HoldState::Active,
            hold_change: None,
            far_held: None,
            transfer: None,
            successor: None,
            client_media: super::ClientMedia::There,
            away: false,
            digits: VecDeque::new(),
            digit_sent: false,
        }));
        out.push(Action::Deadline(
            CallTimer::State,
            self.duration_max.map(|duration| now + duration),
        ));
        let setup = now.saturating_duration_since(self.started);
        out.push(Action::Note(Note::CallAnswered {
            call_id: self.id.clone(),
            setup,
        }));
    }

    /// The INVITE was refused.
    pub(crate) fn on_refused(&mut self, now: Instant, refused: Refused, out: &mut Vec<Action>) {
        if !self.is_live() {
            return;
        }
        // A cause of Q.850 says more than the status that it was mapped to on the way.
        let cause = match refused.q850 {
            Some(number) if number != 16 => translate::cause_of_q850(number),
            _ => translate::cause_of_status(refused.status),
        };
        let bye = self.bye(cause, Some(refused.status), Some(refused.reason), refused.headers);
        self.finish(now, EndedBy::Carrier, cause, Some(refused.status), Some(bye), out);
    }

    /// A candidate of the client; empty for the end of them.
    pub(crate) fn candidate(&mut self, asked: Asked, candidate: String, out: &mut Vec<Action>) {
        let result = match &mut self.state {
            State::Opening { candidates, .. } if candidates.len() < CANDIDATES_QUEUED_MAX => {
                candidates.push(candidate);
                Ok(ResultBody::Call(self.client_id.clone()))
            }
            State::Ringing(ringing) if ringing.candidates.len() < CANDIDATES_QUEUED_MAX => {
                ringing.candidates.push(candidate);
                Ok(ResultBody::Call(self.client_id.clone()))
            }
            State::Opening { .. } | State::Ringing(_) => {
                let message = format!("at most {CANDIDATES_QUEUED_MAX} candidates are queued");
                Err(RpcError::new(ErrorCode::CallFailed, message))
            }
            _ => {
                let command = Command::Candidate {
                    session: self.media.clone(),
                    candidate,
                };
                out.push(Action::Media(command, Purpose::Nothing));
                Ok(ResultBody::Call(self.client_id.clone()))
            }
        };
        out.push(Action::Reply(asked, result));
    }

    fn give_media(&mut self, sdp: String, headers: Vec<CustomHeader>, out: &mut Vec<Action>) {
        self.client_answer = ClientAnswer::Sent(sdp.clone());
        out.push(Action::Client(ServerMessage::Media {
            call: self.client_id.clone(),
            sdp,
            headers,
        }));
    }

    /// The client has acknowledged a message of this name.
    pub(crate) fn on_ack(&mut self, name: &str, out: &mut Vec<Action>) {
        if name == "invite" {
            self.rings(out);
        }
        self.party_unseen &= name != "display";
        if name == "media" || name == "answer" {
            if matches!(self.client_answer, ClientAnswer::Sent(_)) {
                self.client_answer = ClientAnswer::Acknowledged;
            }
            if let State::Active(active) = &mut self.state {
                active.acknowledged |= name == "answer";
            }
        }
    }

    pub(super) fn ringing(&self, headers: Vec<CustomHeader>) -> ServerMessage {
        ServerMessage::Ringing {
            call: self.client_id.clone(),
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            ids: self.ids.clone(),
            headers,
        }
    }

    pub(super) fn answer(&self, sdp: Option<String>, headers: Vec<CustomHeader>) -> ServerMessage {
        ServerMessage::Answer {
            call: self.client_id.clone(),
            sdp,
            ids: self.ids.clone(),
            headers,
        }
    }
}
