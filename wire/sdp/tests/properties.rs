//! Whatever comes: nothing panics, and what is printed reads back the same.

use offhook_sdp::SessionDescription;
use offhook_sdp::attribute::*;
use proptest::prelude::*;

fn touch_every_type(session: &SessionDescription) -> usize {
    fn all<T: TypedAttribute>(session: &SessionDescription) -> usize {
        let sections = session.media.iter().map(|section| &section.attributes);
        sections
            .chain([&session.attributes])
            .flat_map(|attributes| attributes.all::<T>())
            .flatten()
            .count()
    }
    all::<RtpMap>(session)
        + all::<Fmtp>(session)
        + all::<Candidate>(session)
        + all::<Fingerprint>(session)
        + all::<Group>(session)
        + all::<Ssrc>(session)
        + all::<Rtcp>(session)
        + all::<Ptime>(session)
        + all::<IceUfrag>(session)
        + all::<IcePwd>(session)
}

/// A line of a description, mostly right, sometimes not.
fn line() -> impl Strategy<Value = String> {
    let value = "[ -~]{0,30}";
    prop_oneof![
        value.prop_map(|text| format!("a={text}")),
        "(rtpmap|fmtp|candidate|ssrc|rtcp|group|crypto|extmap|fingerprint):[0-9a-z/:;= .]{0,40}"
            .prop_map(|text| format!("a={text}")),
        "[0-9]{1,6} RTP/AVP( [0-9]{1,3}){1,4}".prop_map(|text| format!("m=audio {text}")),
        "IP[46] [0-9.:a-f]{1,20}".prop_map(|text| format!("c=IN {text}")),
        ("[a-zA-Z]", value).prop_map(|(letter, text)| format!("{letter}={text}")),
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,400}") {
        let _ = SessionDescription::parse(&text);
        let _ = SessionDescription::parse(&format!("v=0\no=- 1 1 IN IP4 1.1.1.1\n{text}"));
    }

    #[test]
    fn what_is_printed_reads_back_the_same(lines in prop::collection::vec(line(), 0..40)) {
        let text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n{}\r\n", lines.join("\r\n"));
        if let Ok(session) = SessionDescription::parse(&text) {
            touch_every_type(&session);
            let printed = session.to_string();
            let again = SessionDescription::parse(&printed).unwrap();
            // Lines without a field may have moved to their canonical place; the rest is the same value.
            prop_assert_eq!(again.to_string(), printed);
            prop_assert_eq!(again.attributes, session.attributes);
            prop_assert_eq!(again.connection, session.connection);
            prop_assert_eq!(again.media.len(), session.media.len());
        }
    }
}
