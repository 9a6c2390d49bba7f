//! Transfers: the far end is asked to call somebody else, or somebody else takes its place.

use super::midcall::{SipOutcome, failed};
use super::{Action, Asked, Call, Purpose, State};
use crate::output::EndedBy;
use crate::translate::End;
use offhook_media_control::{Command, CommandError, LegName, Reply};
use offhook_rpc_message::{Party, ResultBody, RpcError, ServerMessage};
use offhook_sip::user_agent::{IncomingId, LegId};
use serde_json::json;
use std::time::Instant;

impl Call {
    /// Whether the far end can be asked now to call somebody else.
    pub(crate) fn may_transfer(&self) -> Result<(), RpcError> {
        match &self.state {
            State::Active(active) if active.transferring => failed("a transfer is under way"),
            State::Active(_) => Ok(()),
            _ => failed("the call is not active"),
        }
    }

    /// The REFER is out.
    pub(crate) fn transfer_asked(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.transferring = true;
        }
    }

    pub(super) fn on_refer_answered(
        &mut self,
        asked: Asked,
        action: &'static str,
        outcome: SipOutcome,
        out: &mut Vec<Action>,
    ) {
        let result = match outcome {
            Ok(_) => Ok(ResultBody::Transferring {
                call: self.client_id.clone(),
                action,
            }),
            Err((status, reason)) => {
                self.transfer_over();
                failed(&format!("the far end does not transfer calls: {status} {reason}"))
            }
        };
        out.push(Action::Reply(asked, result));
    }

    /// How the far end fares with whom it was asked to call.
    pub(crate) fn on_transfer_progress(
        &mut self,
        now: Instant,
        status: u16,
        finished: bool,
        out: &mut Vec<Action>,
    ) {
        if !self.is_active() {
            return;
        }
        let state = match (finished, status) {
            (false, _) => "trying",
            (true, 200..300) => "done",
            (true, _) => "failed",
        };
        let data = json!({"kind": "transfer", "state": state, "sipCode": status});
        out.push(Action::Client(self.event(data)));
        if finished {
            self.transfer_over();
        }
        if state == "done" {
            self.end(now, EndedBy::Client, End::TRANSFERRED, out);
        }
    }

    fn transfer_over(&mut self) {
        if let State::Active(active) = &mut self.state {
            active.transferring = false;
        }
    }

    /// Somebody whom the far end has sent takes its place. Only an active call has a place to take.
    pub(crate) fn replace_far_end(
        &mut self,
        incoming: IncomingId,
        leg: LegId,
        party: Party,
        sdp: Option<String>,
        out: &mut Vec<Action>,
    ) {
        match (&self.state, sdp) {
            (State::Active(_), Some(sdp)) => {
                let command = Command::Reoffer {
                    session: self.media.clone(),
                    from: LegName::Carrier,
                    sdp,
                };
                out.push(Action::Media(command, Purpose::Replacement(incoming, leg, party)));
            }
            (State::Active(_), None) => out.push(Action::Respond(incoming, 488, None)),
            _ => out.push(Action::Respond(incoming, 481, None)),
        }
    }

    pub(super) fn on_replacement(
        &mut self,
        incoming: IncomingId,
        leg: LegId,
        party: Party,
        reply: Result<Reply, CommandError>,
        out: &mut Vec<Action>,
    ) {
        match reply {
            Ok(Reply::Reoffered { answer, .. }) if self.is_active() => {
                out.push(Action::TakeLeg(incoming, leg, answer));
                let call = self.client_id.clone();
                match self.inbound {
                    true => self.caller = party.clone(),
                    false => self.callee = party.clone(),
                }
                out.push(Action::Client(ServerMessage::Display { call, party }));
            }
            Ok(_) => out.push(Action::Respond(incoming, 481, None)),
            Err(_) => out.push(Action::Respond(incoming, 488, None)),
        }
    }

    /// Something for the application, on the channel of the call.
    pub(super) fn event(&self, data: serde_json::Value) -> ServerMessage {
        ServerMessage::Event {
            channel: self.client_id.to_string(),
            data,
        }
    }
}
