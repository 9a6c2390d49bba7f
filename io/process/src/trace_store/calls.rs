//! The calls of a trace store and their bounds.

use super::event::{Content, Event, Names};
use super::{CallSummary, RawMessage, TraceLimits, TraceStore, TracedCall, cut, text};
use offhook_call_trace::{CallId, TraceEvent};
use std::{
    collections::{HashMap, VecDeque},
    time::SystemTime,
};

/// Room for so many more events is made at a time: a call that is answered has 40 to 60.
const EVENTS_MORE: usize = 12;
/// So many events back is looked for the same text: what one part has sent another one has received, with what happened
/// elsewhere at the same moment in between.
const SAME_TEXT_WITHIN: usize = 16;

#[derive(Debug)]
pub(super) struct Calls {
    limits: TraceLimits,
    calls: HashMap<CallId, Call>,
    aliases: HashMap<String, CallId>,
    /// Ids of `calls`, in the order in which they began.
    order: VecDeque<CallId>,
    names: Names,
    bytes: usize,
    next_seq: u64,
    latest: SystemTime,
}

#[derive(Debug)]
struct Call {
    started: SystemTime,
    ended: Option<SystemTime>,
    from: Option<String>,
    to: Option<String>,
    aliases: Vec<String>,
    /// The beginning, never dropped.
    head: Vec<Event>,
    /// The latest events, once `head` is full.
    tail: VecDeque<Event>,
    dropped: u64,
    bytes: usize,
}

impl Calls {
    pub(super) fn new(limits: TraceLimits) -> Self {
        Self {
            limits,
            calls: HashMap::new(),
            aliases: HashMap::new(),
            order: VecDeque::new(),
            names: Names::default(),
            bytes: 0,
            next_seq: 0,
            latest: SystemTime::UNIX_EPOCH,
        }
    }

    pub(super) fn record(&mut self, now: SystemTime, call_id: &CallId, event: TraceEvent) {
        let content = Content::of(event, &mut self.names);
        self.add(now, call_id, content);
    }

    pub(super) fn record_raw(&mut self, now: SystemTime, call_id: &CallId, message: RawMessage) {
        self.add(now, call_id, Content::Raw(message));
    }

    fn add(&mut self, now: SystemTime, call_id: &CallId, content: Content) {
        let time = self.tick(now);
        let seq = self.next_seq;
        self.next_seq += 1;
        let half = self.limits.events_per_call.div_ceil(2);
        let tail_max = self.limits.events_per_call - half;
        self.change(time, call_id, |call| {
            call.push(Event::new(seq, time, content), half, tail_max)
        });
    }

    pub(super) fn alias(&mut self, now: SystemTime, call_id: &CallId, alias: &str) {
        let time = self.tick(now);
        let alias = cut(alias, TraceStore::LABEL_LEN_MAX);
        let mut added = false;
        self.change(time, call_id, |call| {
            added = call.aliases.len() < TraceStore::ALIASES_MAX && !call.aliases.iter().any(|a| a == alias);
            if added {
                call.aliases.push(alias.to_owned());
                call.bytes += 2 * alias.len();
            }
        });
        if added && self.calls.contains_key(call_id) {
            self.aliases.insert(alias.to_owned(), call_id.clone());
        }
    }

    pub(super) fn describe(&mut self, now: SystemTime, call_id: &CallId, from: &str, to: &str) {
        let time = self.tick(now);
        let label = |text: &str| Some(cut(text, TraceStore::LABEL_LEN_MAX).to_owned());
        self.change(time, call_id, |call| {
            call.from = label(from);
            call.to = label(to);
        });
    }

    pub(super) fn ended(&mut self, now: SystemTime, call_id: &CallId) {
        let time = self.tick(now);
        if let Some(call) = self.calls.get_mut(call_id) {
            call.ended = Some(time);
        }
    }

    pub(super) fn list(&self, limit: usize) -> Vec<CallSummary> {
        let known = self
            .order
            .iter()
            .rev()
            .filter_map(|id| Some((id, self.calls.get(id)?)));
        known.take(limit).map(|(id, call)| call.summary(id)).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<TracedCall> {
        let id = CallId::new(id)
            .ok()
            .filter(|id| self.calls.contains_key(id))
            .or_else(|| self.aliases.get(id).cloned())?;
        self.calls.get(&id).map(|call| call.read(&id))
    }

    /// A time that never goes back, whatever the system's clock does.
    fn tick(&mut self, now: SystemTime) -> SystemTime {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Changes one call, which it makes first if need be, and brings all of them back within bounds.
    fn change(&mut self, time: SystemTime, call_id: &CallId, change: impl FnOnce(&mut Call)) {
        if self.limits.calls_kept == 0 {
            return;
        }
        let call = self.calls.entry(call_id.clone()).or_insert_with(|| {
            self.order.push_back(call_id.clone());
            self.bytes += Call::EMPTY_BYTES;
            Call::new(time)
        });
        let before = call.bytes;
        change(call);
        self.bytes = self.bytes + call.bytes - before;
        while self.order.len() > self.limits.calls_kept || self.bytes > self.limits.bytes {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, call_id: &CallId) {
        let Some(call) = self.calls.remove(call_id) else {
            return;
        };
        self.bytes -= call.bytes;
        for alias in &call.aliases {
            if self.aliases.get(alias) == Some(call_id) {
                self.aliases.remove(alias);
            }
        }
    }
}

impl Call {
    /// What a call without events takes, about: itself, and its id in two collections.
    const EMPTY_BYTES: usize = size_of::<Call>() + 3 * CallId::LEN_MAX;

    fn new(started: SystemTime) -> Self {
        Self {
            started,
            ended: None,
            from: None,
            to: None,
            aliases: Vec::new(),
            head: Vec::new(),
            tail: VecDeque::new(),
            dropped: 0,
            bytes: Self::EMPTY_BYTES,
        }
    }

    fn push(&mut self, mut event: Event, head_max: usize, tail_max: usize) {
        let latest = self.tail.iter().rev().chain(self.head.iter().rev());
        event.share_text(latest.take(SAME_TEXT_WITHIN));
        self.bytes += event.bytes();
        if self.head.len() < head_max {
            if self.head.len() == self.head.capacity() {
                // Doubling would leave as much room again unused in each of a thousand calls.
                self.head.reserve_exact(EVENTS_MORE);
            }
            self.head.push(event);
            return;
        }
        self.tail.push_back(event);
        if self.tail.len() > tail_max
            && let Some(oldest) = self.tail.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.dropped += 1;
        }
    }

    fn summary(&self, id: &CallId) -> CallSummary {
        CallSummary {
            call_id: id.clone(),
            started: text(self.started),
            ended: self.ended.map(text),
            from: self.from.clone(),
            to: self.to.clone(),
            events: (self.head.len() + self.tail.len()) as u64 + self.dropped,
        }
    }

    fn read(&self, id: &CallId) -> TracedCall {
        TracedCall {
            call_id: id.clone(),
            started: text(self.started),
            ended: self.ended.map(text),
            from: self.from.clone(),
            to: self.to.clone(),
            aliases: self.aliases.clone(),
            events_dropped: self.dropped,
            events: self.head.iter().chain(&self.tail).map(Event::read).collect(),
        }
    }
}
