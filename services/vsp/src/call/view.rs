//! A call as the operator sees it.

use super::{Call, State};
use crate::output::{CallStage, CallView};
use offhook_rpc_message::HoldState;
use std::time::Instant;

impl Call {
    /// What it is at `now`.
    pub(crate) fn view(&self, now: Instant) -> CallView {
        let stage = match &self.state {
            State::Opening { .. } | State::Inviting { .. } => CallStage::Calling,
            State::Offering { .. } | State::Ringing(_) => CallStage::Ringing,
            State::Answering | State::Accepting { .. } => CallStage::Answering,
            State::Active(active) if active.hold == HoldState::Held => CallStage::Held,
            State::Active(_) => CallStage::Active,
            State::Connected { .. } => CallStage::Active,
            State::Closing(_) => CallStage::Ending,
        };
        CallView {
            call_id: self.id.clone(),
            client_call: self.client_id.to_string(),
            inbound: self.inbound,
            stage,
            from: self.caller.number.clone(),
            to: self.callee.number.clone(),
            age_s: now.saturating_duration_since(self.started).as_secs(),
        }
    }
}
