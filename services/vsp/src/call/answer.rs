//! A call for the client: from the offer to its answer.

use super::{Action, Asked, Call, Purpose, Ringing, State};
use crate::output::EndedBy;
use crate::translate::{self, Cause, End};
use offhook_media_control::{Command, CommandError, LegName, Reply};
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{Bye, ErrorCode, ResultBody, RpcError, ServerMessage};
use std::time::Instant;

impl Call {
    /// Asks the gateway for a session and an offer for the client, from the offer of the SIP side. Without one the SIP side
    /// is offered something in our 200, and answers in its ACK.
    pub(crate) fn offer(&mut self, sdp: Option<String>, out: &mut Vec<Action>) {
        if matches!(self.state, State::Offering { .. }) {
            self.answer_owed = sdp.is_none();
            let open = Command::Open {
                session: self.media.clone(),
                call_id: self.id.clone(),
                from: LegName::Carrier,
                sdp,
                early_answer: false,
            };
            out.push(Action::Media(open, Purpose::Offer));
        }
    }

    pub(super) fn on_offer_made(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        let State::Offering {
            headers,
            acknowledges,
        } = &mut self.state
        else {
            return;
        };
        let acknowledges = *acknowledges;
        let sdp = match reply {
            Ok(Reply::Opened { offer, .. }) => offer,
            Ok(_) => return self.end(now, EndedBy::Gateway, translate::MEDIA_GATEWAY_LOST, out),
            Err(error) => {
                let end = translate::end_of_command_error(error.kind);
                return self.end(now, EndedBy::Gateway, end, out);
            }
        };
        let invite = ServerMessage::Invite {
            call: self.client_id.clone(),
            sdp,
            caller: self.caller.clone(),
            callee: self.callee.clone(),
            ids: self.ids.clone(),
            client_state: self.client_state.clone(),
            headers: std::mem::take(headers),
        };
        out.push(Action::Client(invite.clone()));
        self.state = State::Ringing(Box::new(Ringing {
            invite,
            acknowledged: false,
            candidates: Vec::new(),
        }));
        if !acknowledges {
            self.rings(out);
        }
    }

    /// The client has acknowledged the call, by itself: it rings there.
    pub(crate) fn rings(&mut self, out: &mut Vec<Action>) {
        if let (State::Ringing(ringing), Some(leg)) = (&mut self.state, self.incoming) {
            ringing.acknowledged = true;
            out.push(Action::Rings(leg));
        }
    }

    /// Whether the client may answer now.
    pub(crate) fn can_be_answered(&self) -> bool {
        matches!(self.state, State::Ringing(_))
    }

    /// The client answers.
    pub(crate) fn accept(
        &mut self,
        asked: Asked,
        sdp: String,
        headers: Vec<CustomHeader>,
        out: &mut Vec<Action>,
    ) {
        match &mut self.state {
            State::Ringing(ringing) => {
                let candidates = std::mem::take(&mut ringing.candidates);
                self.state = State::Accepting {
                    asked: Some(asked),
                    headers,
                };
                let answer = Command::Answer {
                    session: self.media.clone(),
                    from: LegName::Client,
                    sdp,
                    is_final: true,
                };
                out.push(Action::Media(answer, Purpose::Accept));
                for candidate in candidates {
                    let session = self.media.clone();
                    let command = Command::Candidate { session, candidate };
                    out.push(Action::Media(command, Purpose::Nothing));
                }
            }
            // A second answer to a call that is up changes nothing.
            State::Active(_) | State::Accepting { .. } if self.inbound => {
                let call = self.client_id.clone();
                out.push(Action::Reply(asked, Ok(ResultBody::CallAnswered(call))));
            }
            _ => {
                let error = RpcError::new(ErrorCode::CallFailed, "there is nothing to answer");
                out.push(Action::Reply(asked, Err(error)));
            }
        }
    }

    pub(super) fn on_accepted(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        let (State::Accepting { asked, headers }, Some(leg)) = (&mut self.state, self.incoming) else {
            return;
        };
        match reply {
            Ok(Reply::Answered { answer: Some(sdp) }) => {
                out.push(Action::AnswerIncoming(leg, sdp, std::mem::take(headers)));
            }
            Ok(_) => self.end(now, EndedBy::Gateway, End::UNUSABLE_ANSWER, out),
            Err(error) => {
                // The SDK ends the call by itself when its answer fails.
                if let Some(asked) = asked.take() {
                    let error = RpcError::new(ErrorCode::CallFailed, &error.message);
                    out.push(Action::Reply(asked, Err(error)));
                }
                let end = translate::end_of_command_error(error.kind);
                self.finish(now, EndedBy::Gateway, end.cause, Some(end.sip_code), None, out);
            }
        }
    }

    /// The 200 is out: the call is the client's.
    pub(crate) fn answered_here(&mut self, now: Instant, leg: super::LegId, out: &mut Vec<Action>) {
        let State::Accepting { asked, .. } = &mut self.state else {
            return;
        };
        if let Some(asked) = asked.take() {
            let call = self.client_id.clone();
            out.push(Action::Reply(asked, Ok(ResultBody::CallAnswered(call))));
        }
        self.incoming = None;
        self.leg = Some(leg);
        self.counted = true;
        self.activate(now, out);
    }

    /// The client does not want the call.
    pub(super) fn decline(&mut self, now: Instant, asked: Asked, bye: &Bye, out: &mut Vec<Action>) {
        let cause = Cause::USER_BUSY;
        out.push(Action::Reply(
            asked,
            Ok(ResultBody::CallEnded {
                call: self.client_id.clone(),
                cause: bye.cause.clone().unwrap_or_else(|| cause.name.to_owned()),
                cause_code: bye.cause_code.unwrap_or(cause.code),
            }),
        ));
        let status = bye.sip_code.filter(|code| (400..700).contains(code));
        let status = match (status, bye.cause_code) {
            (Some(status), _) => status,
            (None, Some(21)) => 603,
            _ => self.reject_code,
        };
        self.finish(now, EndedBy::Client, cause, Some(status), None, out);
    }
}
