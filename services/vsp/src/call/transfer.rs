//! Transfers that the far end is asked to make: it is to call somebody else.

use super::exchange::Transfer;
use super::midcall::{SipOutcome, failed};
use super::{Action, Call, State, TransferOrder};
use crate::output::{EndedBy, Note, TransferWay};
use crate::translate::End;
use offhook_rpc_message::{ResultBody, RpcError, ServerMessage};
use serde_json::json;
use std::time::Instant;

impl Call {
    /// Whether the far end can be connected with somebody else now.
    pub(crate) fn may_transfer(&self) -> Result<(), RpcError> {
        match &self.state {
            State::Active(active) if active.transfer.is_some() => failed("a transfer is under way"),
            State::Active(active) if active.hold_change.is_some() => failed("a change of hold is under way"),
            State::Active(active) if active.successor.is_some() => failed("the far end is being replaced"),
            State::Active(_) => Ok(()),
            _ => failed("the call is not active"),
        }
    }

    /// The REFER is out.
    pub(crate) fn transfer_asked(&mut self, order: TransferOrder) {
        if let State::Active(active) = &mut self.state {
            active.transfer = Some(Transfer::Referred(order));
        }
    }

    pub(super) fn take_referred(&mut self) -> Option<TransferOrder> {
        let State::Active(active) = &mut self.state else {
            return None;
        };
        match active
            .transfer
            .take_if(|transfer| matches!(transfer, Transfer::Referred(_)))
        {
            Some(Transfer::Referred(order)) => Some(order),
            _ => None,
        }
    }

    pub(super) fn on_refer_answered(&mut self, outcome: SipOutcome, out: &mut Vec<Action>) {
        match outcome {
            Ok(_) => {
                if let State::Active(active) = &mut self.state
                    && let Some(Transfer::Referred(order)) = &mut active.transfer
                    && let Some(asked) = order.asked.take()
                {
                    let (call, action) = (self.client_id.clone(), order.action);
                    out.push(Action::Reply(
                        asked,
                        Ok(ResultBody::Transferring { call, action }),
                    ));
                }
            }
            Err((status, _)) => {
                if let Some(order) = self.take_referred() {
                    out.push(Action::TransferHere(order, status));
                }
            }
        }
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
        if !finished {
            return out.push(Action::Client(self.transfer_event("transfer", "trying", status)));
        }
        let order = self.take_referred();
        match (status, order) {
            (200..300, order) => {
                // A NOTIFY may overtake the answer to its REFER.
                if let Some(TransferOrder {
                    asked: Some(asked),
                    action,
                    ..
                }) = order
                {
                    let call = self.client_id.clone();
                    out.push(Action::Reply(
                        asked,
                        Ok(ResultBody::Transferring { call, action }),
                    ));
                }
                out.push(Action::Client(self.transfer_event("transfer", "done", status)));
                out.push(Action::Note(self.transferred(TransferWay::Refer, status)));
                self.end(now, EndedBy::Client, End::TRANSFERRED, out);
            }
            (status, Some(order)) if is_refusal_of_referee(status) => {
                out.push(Action::TransferHere(order, status));
            }
            (status, Some(order)) => {
                let why = format!("the transfer failed: {status}");
                self.transfer_refused(order, status, &why, out);
            }
            (status, None) => self.transfer_failed(TransferWay::Refer, status, out),
        }
    }

    /// The transfer is not made, here or there.
    pub(crate) fn transfer_refused(
        &mut self,
        order: TransferOrder,
        status: u16,
        why: &str,
        out: &mut Vec<Action>,
    ) {
        match order.asked {
            Some(asked) => {
                out.push(Action::Note(self.transferred(TransferWay::Refer, status)));
                out.push(Action::Reply(asked, failed(why)));
            }
            None => self.transfer_failed(TransferWay::Refer, status, out),
        }
    }

    pub(super) fn transfer_failed(&mut self, way: TransferWay, status: u16, out: &mut Vec<Action>) {
        out.push(Action::Note(self.transferred(way, status)));
        out.push(Action::Client(self.transfer_event(way.event(), "failed", status)));
    }

    pub(super) fn transferred(&self, way: TransferWay, status: u16) -> Note {
        Note::Transferred {
            call_id: self.id.clone(),
            way,
            status,
        }
    }

    pub(super) fn transfer_event(&self, kind: &str, state: &str, status: u16) -> ServerMessage {
        self.event(json!({"kind": kind, "state": state, "sipCode": status}))
    }

    /// Something for the application, on the channel of the call.
    pub(super) fn event(&self, data: serde_json::Value) -> ServerMessage {
        ServerMessage::Event {
            channel: self.client_id.to_string(),
            data,
        }
    }
}

/// Whether a status that a NOTIFY tells is the verdict of who was to make the transfer, rather than of who was called.
const fn is_refusal_of_referee(status: u16) -> bool {
    matches!(status, 403 | 405 | 406 | 420 | 481 | 489 | 500..=599)
}
