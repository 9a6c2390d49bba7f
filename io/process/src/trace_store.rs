//! The traces of the last calls, in memory, within bounds.

mod calls;
mod event;

use crate::rfc3339;
use bytes::Bytes;
use calls::Calls;
use offhook_call_trace::{CallId, Hop, TraceEvent};
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// How much a [`TraceStore`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceLimits {
    /// Calls; the one that began first goes first. 0: keep nothing.
    pub calls_kept: usize,
    /// Events per call. Of longer calls the first and the last half are kept, and the rest is counted.
    pub events_per_call: usize,
    /// Bytes of all traces together.
    pub bytes: usize,
}

impl Default for TraceLimits {
    /// 1,000 calls of up to 400 events (a call with early media and a few digits has about 60), 64 MiB.
    fn default() -> Self {
        Self {
            calls_kept: 1_000,
            events_per_call: 400,
            bytes: 64 * 1024 * 1024,
        }
    }
}

/// A message as it was on the wire: it becomes an event when somebody reads the trace, which few do, instead of when it
/// passes. Until then it is in memory as it is, and there is no other way to it.
#[derive(Debug, Clone)]
pub struct RawMessage {
    /// Sender.
    pub from: Hop,
    /// Receiver.
    pub to: Hop,
    /// All of it, secrets included.
    pub bytes: Bytes,
    /// Makes the event, without secrets.
    pub read: fn(&Self) -> TraceEvent,
}

/// Traces of the last calls; clones share them. Any thread may record; what is recorded later has a later `seq` and
/// never an earlier time.
#[derive(Debug, Clone)]
pub struct TraceStore {
    calls: Arc<Mutex<Calls>>,
}

/// A call in the list of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallSummary {
    /// Its id.
    pub call_id: CallId,
    /// Time of the first event, RFC 3339.
    pub started: String,
    /// Time of the end, once [`TraceStore::ended`] was called.
    pub ended: Option<String>,
    /// Who calls, if known.
    pub from: Option<String>,
    /// The number called, if known.
    pub to: Option<String>,
    /// Events recorded, with those that were dropped.
    pub events: u64,
}

/// A call with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedCall {
    /// Its id.
    pub call_id: CallId,
    /// Time of the first event, RFC 3339.
    pub started: String,
    /// Time of the end, once [`TraceStore::ended`] was called.
    pub ended: Option<String>,
    /// Who calls, if known.
    pub from: Option<String>,
    /// The number called, if known.
    pub to: Option<String>,
    /// Other ids under which the call is found: the client's `callID`, SIP Call-IDs.
    pub aliases: Vec<String>,
    /// Events that are missing from the middle, for the call had more than are kept.
    pub events_dropped: u64,
    /// The events in order.
    pub events: Vec<RecordedEvent>,
}

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedEvent {
    /// Rises by one with each event that this process records, of whatever call.
    pub seq: u64,
    /// When it was recorded, RFC 3339 with microseconds.
    pub time: String,
    /// What was seen.
    #[serde(flatten)]
    pub event: TraceEvent,
}

impl TraceStore {
    /// Most bytes of an alias, and of a caller or a number; longer ones are cut.
    pub const LABEL_LEN_MAX: usize = 256;
    /// Most aliases per call; more are ignored. A call has one callID and one SIP Call-ID per leg and per branch.
    pub const ALIASES_MAX: usize = 16;

    /// An empty store.
    pub fn new(limits: TraceLimits) -> Self {
        Self {
            calls: Arc::new(Mutex::new(Calls::new(limits))),
        }
    }

    /// Adds an event to a call's trace; the first one begins it.
    pub fn record(&self, call_id: &CallId, event: TraceEvent) {
        self.lock().record(SystemTime::now(), call_id, event);
    }

    /// Adds a message to a call's trace, to be made into an event later.
    pub fn record_raw(&self, call_id: &CallId, message: RawMessage) {
        self.lock().record_raw(SystemTime::now(), call_id, message);
    }

    /// Makes the call findable under another id too: the client's `callID`, a SIP Call-ID.
    pub fn alias(&self, call_id: &CallId, alias: &str) {
        self.lock().alias(SystemTime::now(), call_id, alias);
    }

    /// Says who calls whom, for the list of calls.
    pub fn describe(&self, call_id: &CallId, from: &str, to: &str) {
        self.lock().describe(SystemTime::now(), call_id, from, to);
    }

    /// Marks the call as over. Events may still come (the far end's last answers).
    pub fn ended(&self, call_id: &CallId) {
        self.lock().ended(SystemTime::now(), call_id);
    }

    /// The calls that are kept, the latest first, at most `limit`.
    pub fn list(&self, limit: usize) -> Vec<CallSummary> {
        self.lock().list(limit)
    }

    /// The call with this id or alias.
    pub fn find(&self, id: &str) -> Option<TracedCall> {
        self.lock().find(id)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TraceStore {
    fn default() -> Self {
        Self::new(TraceLimits::default())
    }
}

fn text(time: SystemTime) -> String {
    rfc3339(time)
}

fn cut(text: &str, len_max: usize) -> &str {
    let mut end = text.len().min(len_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
