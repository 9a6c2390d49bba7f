//! Offers with lines lost, doubled, moved or spoiled: taken or refused, and what we answer reads back.

use offhook_offer_answer::{Codec, Direction};
use offhook_sdp::SessionDescription;
use proptest::prelude::*;

use crate::common::{carrier, chromium_offer, rtp_leg, web_leg};

/// What happens to one line of an offer.
#[derive(Debug, Clone)]
enum Change {
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    Spoil(usize, usize, char),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<usize>().prop_map(Change::Drop),
        any::<usize>().prop_map(Change::Double),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::Swap(a, b)),
        (any::<usize>(), any::<usize>(), "[ -~]")
            .prop_map(|(line, at, with)| { Change::Spoil(line, at, with.chars().next().unwrap_or('x')) }),
    ]
}

fn apply(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for change in changes {
        let len = lines.len().max(1);
        match change {
            Change::Drop(index) if !lines.is_empty() => drop(lines.remove(index % len)),
            Change::Double(index) if !lines.is_empty() => lines.push(lines[index % len].clone()),
            Change::Swap(a, b) if !lines.is_empty() => lines.swap(a % len, b % len),
            Change::Spoil(index, at, with) if !lines.is_empty() => {
                let line = &mut lines[index % len];
                let at = at % line.len().max(1);
                line.replace_range(at..(at + 1).min(line.len()), &with.to_string());
            }
            _ => {}
        }
    }
    lines.join("\r\n") + "\r\n"
}

proptest! {
    #[test]
    fn a_browsers_offer(changes in prop::collection::vec(change(), 0..6)) {
        let mut leg = web_leg();
        if leg.handle_offer(&apply(&chromium_offer(), &changes)).is_ok() {
            let answer = SessionDescription::parse(&leg.answer(&Codec::ALL).unwrap()).unwrap();
            let offered = leg.export().offered.as_ref().unwrap().rejected.len() + 1;
            prop_assert_eq!(answer.media.len(), offered);
            prop_assert_eq!(answer.media.iter().filter(|section| section.port != 0).count(), 1);
            prop_assert!(SessionDescription::parse(&leg.offer(Direction::SendRecv)).is_ok());
        }
    }

    #[test]
    fn a_carriers_offer_and_answer(changes in prop::collection::vec(change(), 0..6)) {
        let section = "m=audio 6000 RTP/AVP 0 8 96 101\r\na=rtpmap:96 opus/48000/2\r\n\
            a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=rtcp:6001\r\na=sendrecv";
        let text = apply(&carrier(section), &changes);
        let mut callee = rtp_leg(&Codec::ALL);
        if callee.handle_offer(&text).is_ok() {
            let answer = SessionDescription::parse(&callee.answer(&Codec::ALL, Direction::SendRecv).unwrap()).unwrap();
            prop_assert_eq!(answer.media.len(), callee.export().offered.as_ref().unwrap().rejected.len() + 1);
        }
        let mut caller = rtp_leg(&Codec::ALL);
        caller.offer(Direction::SendRecv);
        if caller.handle_answer(&text).is_ok() {
            prop_assert!(!caller.remote().unwrap().codecs.is_empty());
        }
    }
}
