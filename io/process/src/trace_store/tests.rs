//! Bounds and order of the trace store.

use super::*;
use offhook_call_trace::{Hop, Protocol};

fn id(text: &str) -> CallId {
    CallId::new(text).unwrap()
}

fn event(name: &str) -> TraceEvent {
    TraceEvent::message(Hop::Vsp, Hop::Client, Hop::Vsp, Protocol::JsonRpc, name)
}

fn store(calls_kept: usize, events_per_call: usize, bytes: usize) -> TraceStore {
    TraceStore::new(TraceLimits {
        calls_kept,
        events_per_call,
        bytes,
    })
}

#[test]
fn a_call_reads_back_in_order_with_time() {
    let store = TraceStore::default();
    store.describe(&id("c1"), "alice", "9196");
    store.record(&id("c1"), event("invite"));
    store.record(&id("c2"), event("other"));
    store.record(&id("c1"), event("bye").with_detail("{}"));
    store.alias(&id("c1"), "client/1");
    store.ended(&id("c1"));

    let call = store.find("c1").unwrap();
    assert_eq!(
        call.events
            .iter()
            .map(|e| e.event.name.as_str())
            .collect::<Vec<_>>(),
        ["invite", "bye"]
    );
    assert!(call.events[0].seq < call.events[1].seq && call.events[0].time <= call.events[1].time);
    assert_eq!(
        (call.from.as_deref(), call.to.as_deref()),
        (Some("alice"), Some("9196"))
    );
    assert!(call.ended.is_some());
    assert_eq!(store.find("client/1"), Some(call));
    assert_eq!(store.find("nothing"), None);

    let json = serde_json::to_value(store.find("c1")).unwrap();
    assert_eq!(json["events"][1]["observer"], "vsp");
    assert_eq!(json["events"][1]["protocol"], "json-rpc");
    assert_eq!(json["events"][1]["detail"], "{}");
}

#[test]
fn the_oldest_call_goes_first_with_its_aliases() {
    let store = store(2, 10, usize::MAX);
    for name in ["a", "b", "c"] {
        store.record(&id(name), event("invite"));
        store.alias(&id(name), &format!("alias-{name}"));
    }
    assert_eq!(
        store.list(10).into_iter().map(|c| c.call_id).collect::<Vec<_>>(),
        [id("c"), id("b")]
    );
    assert_eq!(store.find("alias-a"), None);
    assert!(store.find("alias-b").is_some());
    assert_eq!(store.list(1).len(), 1);
}

#[test]
fn a_long_call_keeps_its_beginning_and_its_end() {
    let store = store(1, 4, usize::MAX);
    for n in 0..10 {
        store.record(&id("a"), event(&n.to_string()));
    }
    let call = store.find("a").unwrap();
    assert_eq!(
        call.events
            .iter()
            .map(|e| e.event.name.as_str())
            .collect::<Vec<_>>(),
        ["0", "1", "8", "9"]
    );
    assert_eq!(call.events_dropped, 6);
    assert_eq!(store.list(1)[0].events, 10);
}

#[test]
fn bytes_are_bounded_over_all_calls() {
    let store = store(1_000, 400, 100_000);
    for n in 0..500 {
        store.record(
            &id(&format!("call-{n}")),
            event("invite").with_detail("x".repeat(5_000)),
        );
    }
    let kept = store.list(1_000);
    assert!((10..20).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[0].call_id, id("call-499"));
}

#[test]
fn one_call_larger_than_the_store_leaves_it_empty_and_sound() {
    let store = store(10, 400, 10_000);
    for _ in 0..100 {
        store.record(&id("a"), event("invite").with_detail("x".repeat(5_000)));
    }
    assert!(store.find("a").is_none_or(|call| call.events.len() <= 2));
    store.record(&id("b"), event("invite"));
    assert!(store.find("b").is_some());
}

#[test]
fn peers_cannot_make_labels_long() {
    let store = TraceStore::default();
    let long = "ä".repeat(5_000);
    store.record(&id("a"), event(&long));
    store.describe(&id("a"), &long, &long);
    for n in 0..100 {
        store.alias(&id("a"), &format!("{n}{long}"));
    }
    let call = store.find("a").unwrap();
    assert!(call.events[0].event.name.len() <= 128);
    assert!(call.from.unwrap().len() <= TraceStore::LABEL_LEN_MAX);
    assert_eq!(call.aliases.len(), TraceStore::ALIASES_MAX);
}

#[test]
fn zero_calls_keeps_nothing() {
    let store = store(0, 400, usize::MAX);
    store.record(&id("a"), event("invite"));
    store.alias(&id("a"), "b");
    assert!(store.list(10).is_empty());
    assert_eq!(store.find("b"), None);
}

#[test]
fn threads_record_in_one_order() {
    let store = TraceStore::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|n| store.record(&id("a"), event(&n.to_string()))));
        }
    });
    let events = store.find("a").unwrap().events;
    assert_eq!(events.len(), 200);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].seq < pair[1].seq && pair[0].time <= pair[1].time)
    );
}

#[test]
fn a_raw_message_becomes_an_event_when_it_is_read_and_counts_with_all_its_bytes() {
    let raw = |text: &'static str| RawMessage {
        from: Hop::Carrier,
        to: Hop::Vsp,
        bytes: Bytes::from_static(text.as_bytes()),
        read: |message| {
            let name = std::str::from_utf8(&message.bytes[..3]).unwrap();
            TraceEvent::message(Hop::Vsp, message.from, message.to, Protocol::Sip, name)
        },
    };
    let store = store(10, 10, 2_000);
    store.record_raw(&id("c1"), raw("BYE secret"));
    let call = store.find("c1").unwrap();
    assert_eq!(
        (call.events[0].event.name.as_str(), call.events[0].event.from),
        ("BYE", Hop::Carrier)
    );
    assert!(!serde_json::to_string(&call).unwrap().contains("secret"));
    let large: &'static str = "x".repeat(1_500).leak();
    store.record_raw(&id("c2"), raw(large));
    assert_eq!(
        store.list(10).len(),
        1,
        "both together are more than the store holds"
    );
}
