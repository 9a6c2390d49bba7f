//! What goes into a call's trace.

use super::{Output, Server};
use offhook_call_trace::{CALL_ID_HEADER, CallId, Hop, Protocol, TraceEvent, redact_sip};
use offhook_sip::text_of;
use offhook_sip::user_agent::{Direction, LegId, Observation};
use offhook_sip_message::Message;

impl Server {
    fn call_id_of(&self, leg: LegId) -> Option<CallId> {
        let ended = || {
            self.ended
                .iter()
                .rev()
                .find(|(id, _)| *id == leg)
                .map(|(_, call_id)| call_id.clone())
        };
        self.calls
            .get(&leg)
            .map_or_else(ended, |call| call.call_id.clone())
    }

    pub(super) fn trace_sip(&mut self, seen: &Observation) {
        if !self.settings.trace {
            return;
        }
        // The INVITE itself is seen before the call is made.
        let in_message = || {
            let message = Message::parse(seen.bytes.clone()).ok()?;
            CallId::new(text_of(&message, CALL_ID_HEADER)?).ok()
        };
        let Some(call_id) = self.call_id_of(seen.leg).or_else(in_message) else {
            return;
        };
        let (from, to) = match seen.direction {
            Direction::Sent => (Hop::Carrier, Hop::SipProxy),
            Direction::Received => (Hop::SipProxy, Hop::Carrier),
        };
        let event = TraceEvent::message(Hop::Carrier, from, to, Protocol::Sip, seen.name.as_str())
            .with_detail(redact_sip(&seen.bytes));
        self.outputs.push_back(Output::Trace(call_id, event));
    }

    pub(super) fn trace_media(&mut self, leg: LegId, name: String) {
        if let Some(call_id) = self.call_id_of(leg).filter(|_| self.settings.trace) {
            let event = TraceEvent::message(Hop::Carrier, Hop::B2buaRtc, Hop::Carrier, Protocol::Media, name);
            self.outputs.push_back(Output::Trace(call_id, event));
        }
    }
}
