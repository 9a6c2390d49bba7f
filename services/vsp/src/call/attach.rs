//! A client that comes back: whether its media is still there, and starting it anew where it is not.

use super::{Action, Asked, Call, CallTimer, ClientAnswer, ClientMedia, Purpose, State};
use crate::output::EndedBy;
use crate::translate::{self, End};
use offhook_media_control::{Command, CommandError, Direction, LegName, Reply, Sound};
use offhook_rpc_message::{ErrorCode, HoldState, ResultBody, RpcError, ServerMessage};
use std::time::{Duration, Instant};

/// How long the client may take to answer an attach: after a reload the browser may ask for the microphone first.
const ATTACH_WAIT_MAX: Duration = Duration::from_secs(45);

/// What the client that comes back is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    /// The same page at the same place: its media goes on, unless we know that it does not.
    Same,
    /// The same page in another network: its media cannot be there any more.
    Elsewhere,
    /// A page that was loaded anew: it knows nothing of the call.
    Reloaded,
}

impl Call {
    /// The order in which calls are handed to a page that was loaded anew, which takes one only: active, held, ringing
    /// for the client. `None`: it cannot be handed over.
    pub(crate) fn rank_after_reload(&self) -> Option<u8> {
        match &self.state {
            State::Active(active) if active.hold == HoldState::Active => Some(0),
            State::Active(_) => Some(1),
            State::Ringing(_) | State::Offering { .. } | State::Accepting { .. } => Some(2),
            State::Opening { .. } | State::Inviting { .. } | State::Answering => None,
            State::Connected { .. } | State::Closing(_) => None,
        }
    }

    /// What a client that comes back may have missed; seeing it twice does no harm.
    pub(crate) fn missed(&self) -> Vec<ServerMessage> {
        let mut missed = Vec::new();
        match (&self.client_answer, &self.state) {
            (ClientAnswer::None, State::Inviting { rung: true, .. }) => missed.push(self.ringing(Vec::new())),
            (ClientAnswer::Sent(sdp), _) => missed.push(ServerMessage::Media {
                call: self.client_id.clone(),
                sdp: sdp.clone(),
                headers: Vec::new(),
            }),
            _ => {}
        }
        match &self.state {
            State::Active(active) if !active.acknowledged => missed.push(self.answer(None, Vec::new())),
            State::Ringing(ringing) if !ringing.acknowledged => missed.push(ringing.invite.clone()),
            _ => {}
        }
        missed
    }

    /// The client is back.
    pub(crate) fn client_returned(&mut self, now: Instant, how: Return, out: &mut Vec<Action>) {
        if how != Return::Reloaded {
            self.show_unseen_party(out);
        }
        match (&mut self.state, how) {
            (State::Active(active), how)
                if how != Return::Same || active.client_media != ClientMedia::There =>
            {
                self.attach(now, out);
            }
            (State::Ringing(ringing), Return::Reloaded) if ringing.acknowledged => {
                out.push(Action::Client(ringing.invite.clone()));
            }
            (State::Active(_), _) => self.tell_far_hold(out),
            _ => {}
        }
    }

    /// The client's media was heard of. `just_back`: its socket came back a moment ago, so that silence means that a page
    /// was loaded anew without saying goodbye; later the SDK mends its media by itself.
    pub(crate) fn client_media_stopped(&mut self, now: Instant, just_back: bool, out: &mut Vec<Action>) {
        if let State::Active(active) = &mut self.state
            && active.client_media == ClientMedia::There
        {
            active.client_media = ClientMedia::Silent;
            if just_back {
                self.attach(now, out);
            }
        }
    }

    /// The client's media is there.
    pub(crate) fn client_media_started(&mut self) {
        if let State::Active(active) = &mut self.state
            && active.client_media == ClientMedia::Silent
        {
            active.client_media = ClientMedia::There;
        }
    }

    /// The client has no socket. If its media is gone too, the far end hears that it may come back; the gateway ends that
    /// with the first packet of the client. Somebody on hold hears what is for that.
    pub(crate) fn client_away(&mut self, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        // It cannot answer; when it is back it is asked anew.
        out.push(Action::Deadline(CallTimer::Attach, None));
        let gone = active.client_media != ClientMedia::There && active.hold == HoldState::Active;
        if gone && !std::mem::replace(&mut active.away, true) {
            let command = Command::Play {
                session: self.media.clone(),
                to: LegName::Carrier,
                sound: Sound::Away,
                repeat: true,
                yields: true,
            };
            out.push(Action::Media(command, Purpose::Nothing));
        }
    }

    /// The gateway has ended it.
    pub(crate) fn away_is_over(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.away = false;
        }
    }

    fn attach(&mut self, now: Instant, out: &mut Vec<Action>) {
        let State::Active(active) = &mut self.state else {
            return;
        };
        active.client_media = ClientMedia::Offered;
        let command = Command::MakeOffer {
            session: self.media.clone(),
            to: LegName::Client,
            direction: Direction::SendRecv,
            renew: true,
        };
        out.push(Action::Media(command, Purpose::AttachOffer));
        out.push(Action::Deadline(CallTimer::Attach, Some(now + ATTACH_WAIT_MAX)));
    }

    pub(super) fn on_attach_offer(
        &mut self,
        now: Instant,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        if !self.is_active() {
            return;
        }
        match reply {
            Ok(Reply::Offered { offer }) => {
                out.push(Action::Client(ServerMessage::Attach {
                    call: self.client_id.clone(),
                    sdp: offer,
                    caller: self.caller.clone(),
                    callee: self.callee.clone(),
                    ids: self.ids.clone(),
                    client_state: self.client_state.clone(),
                }));
                self.tell_far_hold(out);
            }
            Ok(_) => self.end(now, EndedBy::Gateway, translate::MEDIA_GATEWAY_LOST, out),
            Err(error) => {
                let end = translate::end_of_command_error(error.kind);
                self.end(now, EndedBy::Gateway, end, out);
            }
        }
    }

    /// The client answers an attach of ours.
    pub(crate) fn attached(&mut self, asked: Asked, sdp: String, out: &mut Vec<Action>) {
        let State::Active(active) = &self.state else {
            let error = RpcError::new(ErrorCode::CallFailed, "the call is not active");
            return out.push(Action::Reply(asked, Err(error)));
        };
        if active.client_media != ClientMedia::Offered {
            let error = RpcError::new(ErrorCode::CallFailed, "no attach was sent for this call");
            return out.push(Action::Reply(asked, Err(error)));
        }
        let answer = Command::Answer {
            session: self.media.clone(),
            from: LegName::Client,
            sdp,
            is_final: true,
        };
        out.push(Action::Media(answer, Purpose::AttachAnswer(asked)));
    }

    pub(super) fn on_attach_answer(
        &mut self,
        now: Instant,
        asked: Asked,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        let State::Active(active) = &mut self.state else {
            let call = self.client_id.clone();
            return out.push(Action::Reply(asked, Ok(ResultBody::CallAttached(call))));
        };
        match reply {
            Ok(_) => {
                active.client_media = ClientMedia::There;
                let call = self.client_id.clone();
                out.push(Action::Reply(asked, Ok(ResultBody::CallAttached(call))));
                out.push(Action::Deadline(CallTimer::Attach, None));
            }
            Err(error) => {
                let message = RpcError::new(ErrorCode::CallFailed, &error.message);
                out.push(Action::Reply(asked, Err(message)));
                self.end(now, EndedBy::Client, End::UNUSABLE_ANSWER, out);
            }
        }
    }
}
