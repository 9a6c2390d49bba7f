//! An event as it is kept: there are thousands of them, and few are ever read.

use super::{RawMessage, RecordedEvent, cut, text};
use bytes::Bytes;
use offhook_call_trace::{Hop, Protocol, TraceEvent};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Most bytes of an event's name: a method name made up by a peer is not worth more.
const NAME_LEN_MAX: usize = 128;
/// Names that are kept once for all events. Ours are fewer; peers may make up others.
const NAMES_MAX: usize = 512;
/// A shorter text is not worth sharing, which takes some bytes itself.
const SHARED_LEN_MIN: usize = 64;

/// An event with its time.
#[derive(Debug)]
pub(super) struct Event {
    seq: u64,
    /// Microseconds since 1970, as precise as they are told.
    time_us: u64,
    content: Content,
}

/// What was seen.
#[derive(Debug)]
pub(super) enum Content {
    /// An event of which the texts are as they are told.
    Event {
        observer: Hop,
        from: Hop,
        to: Hop,
        protocol: Protocol,
        name: Arc<str>,
        /// UTF-8.
        detail: Bytes,
    },
    /// A message that becomes one when it is read.
    Raw(RawMessage),
}

/// Names of events, each once.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let new = Arc::<str>::from(name);
        if self.0.len() < NAMES_MAX {
            self.0.insert(new.clone());
        }
        new
    }
}

impl Content {
    /// What is kept of an event: no more than one may have, and no room to grow, as a text that was written piece by
    /// piece may have as much again behind it.
    pub(super) fn of(event: TraceEvent, names: &mut Names) -> Self {
        let event = bounded(event);
        let mut detail = event.detail;
        detail.shrink_to_fit();
        Self::Event {
            observer: event.observer,
            from: event.from,
            to: event.to,
            protocol: event.protocol,
            name: names.get(&event.name),
            detail: detail.into(),
        }
    }

    fn text(&self) -> &Bytes {
        match self {
            Self::Event { detail, .. } => detail,
            Self::Raw(message) => &message.bytes,
        }
    }
}

impl Event {
    pub(super) fn new(seq: u64, time: SystemTime, content: Content) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seq,
            time_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            content,
        }
    }

    /// Keeps the text only once if one of `others` has it already: every message between two parts of this process comes
    /// here from both.
    pub(super) fn share_text<'a>(&mut self, others: impl Iterator<Item = &'a Event>) {
        let text = match &mut self.content {
            Content::Event { detail, .. } => detail,
            Content::Raw(message) => &mut message.bytes,
        };
        if text.len() < SHARED_LEN_MIN {
            return;
        }
        let mut texts = others.map(|other| other.content.text());
        if let Some(same) = texts.find(|other| *other == text) {
            *text = same.clone();
        }
    }

    /// What it takes. A text that is shared counts as often as it is told: which of its events goes first is not known.
    pub(super) fn bytes(&self) -> usize {
        let name_len = match &self.content {
            Content::Event { name, .. } => name.len(),
            Content::Raw(_) => 0,
        };
        size_of::<Self>() + name_len + self.content.text().len()
    }

    pub(super) fn read(&self) -> RecordedEvent {
        let time = UNIX_EPOCH.checked_add(Duration::from_micros(self.time_us));
        RecordedEvent {
            seq: self.seq,
            time: text(time.unwrap_or(UNIX_EPOCH)),
            event: match &self.content {
                Content::Event {
                    observer,
                    from,
                    to,
                    protocol,
                    name,
                    detail,
                } => TraceEvent {
                    observer: *observer,
                    from: *from,
                    to: *to,
                    protocol: *protocol,
                    name: name.as_ref().to_owned(),
                    detail: String::from_utf8_lossy(detail).into_owned(),
                },
                Content::Raw(message) => bounded((message.read)(message)),
            },
        }
    }
}

/// An event no larger than one may be.
fn bounded(mut event: TraceEvent) -> TraceEvent {
    event.name.truncate(cut(&event.name, NAME_LEN_MAX).len());
    let detail_max = TraceEvent::DETAIL_MAX + '…'.len_utf8();
    event.detail.truncate(cut(&event.detail, detail_max).len());
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_by(observer: Hop, detail: String, names: &mut Names) -> Event {
        let event = TraceEvent::message(observer, Hop::SipProxy, Hop::Vsp, Protocol::Sip, "200 INVITE");
        Event::new(0, UNIX_EPOCH, Content::of(event.with_detail(detail), names))
    }

    fn raw(bytes: Bytes) -> Event {
        let message = RawMessage {
            from: Hop::SipProxy,
            to: Hop::Vsp,
            bytes,
            read: |_| unreachable!("is not read here"),
        };
        Event::new(0, UNIX_EPOCH, Content::Raw(message))
    }

    #[test]
    fn a_message_that_both_its_sender_and_its_receiver_record_is_in_memory_once() {
        let (mut names, message) = (Names::default(), "SIP/2.0 200 OK\\r\\n".repeat(40));
        let sent = raw(message.clone().into());
        let mut received = seen_by(Hop::Vsp, message.clone(), &mut names);
        received.share_text([&sent].into_iter());
        assert_eq!(received.content.text().as_ptr(), sent.content.text().as_ptr());
        let mut other_way = raw(message.clone().into());
        other_way.share_text([&received].into_iter());
        assert_eq!(other_way.content.text().as_ptr(), sent.content.text().as_ptr());
        drop(sent);
        assert_eq!(received.read().event.detail, message);

        let mut other = seen_by(Hop::Vsp, message.replace("OK", "Ok"), &mut names);
        other.share_text([&received].into_iter());
        assert!(other.read().event.detail.contains("200 Ok"), "is what it was");
    }

    #[test]
    fn an_event_is_small_as_a_call_has_50_of_them_and_a_process_a_thousand_calls() {
        assert!(size_of::<Event>() <= 72, "{}", size_of::<Event>());
        let mut names = Names::default();
        let [first, second] = [(); 2].map(|()| seen_by(Hop::Vsp, String::new(), &mut names));
        let name = |event: &Event| match &event.content {
            Content::Event { name, .. } => name.clone(),
            Content::Raw(_) => unreachable!("is none"),
        };
        assert!(Arc::ptr_eq(&name(&first), &name(&second)));
    }

    #[test]
    fn names_that_peers_make_up_are_kept_up_to_a_bound() {
        let mut names = Names::default();
        for n in 0..2 * NAMES_MAX {
            assert_eq!(*names.get(&n.to_string()), *n.to_string());
        }
        assert_eq!(names.0.len(), NAMES_MAX);
    }
}
