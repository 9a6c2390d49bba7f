//! What comes over the control link and over `ng`.

use offhook_b2bua_rtc::ng;
use offhook_media_control::Frame;

pub(crate) const LINK_SEEDS: &[&[u8]] = &[
    br##"{"jsonrpc":"2.0","id":1,"method":"open","params":{"session":"m","call_id":"c-1","from":"client","sdp":"v=0","early_answer":true}}"##,
    br##"{"jsonrpc":"2.0","id":2,"method":"dtmf","params":{"session":"m","to":"carrier","digits":"12#","duration_ms":100}}"##,
    br##"{"jsonrpc":"2.0","id":3,"result":{"reply":"opened","offer":"v=0","answer":null}}"##,
    br##"{"jsonrpc":"2.0","id":4,"error":{"code":-32010,"message":"no","data":{"kind":"busy","message":"no"}}}"##,
    br##"{"jsonrpc":"2.0","method":"gone","params":{"session":"m","reason":"ice-failed","message":"x","summary":{}}}"##,
];

pub(crate) const NG_SEEDS: &[&[u8]] = &[
    b"c_1 d7:command4:pinge",
    b"c_2 d7:command5:offer7:call-id1:c8:from-tag1:f3:sdp27:v=0\r\nm=audio 9 RTP/AVP 0\r\n18:transport-protocol7:RTP/AVP5:codecd4:maskl4:opuse9:transcodel9:PCMU/8000eee",
    b"c_3 d7:command6:answer7:call-id1:c3:sdp3:v=0e",
    b"c_4 d7:command6:delete7:call-id1:c5:flagsli1ei-2eee",
];

/// What is a frame reads back as itself when it is written.
pub(crate) fn link(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(frame) = Frame::decode(text) {
        let again = Frame::decode(&frame.encode()).expect("what we write reads back");
        assert_eq!(again, frame);
    }
}

pub(crate) fn ng(input: &[u8]) {
    let Ok((cookie, message)) = ng::split(input) else {
        return;
    };
    assert!(!cookie.is_empty());
    if let Ok(ng::Request::Offer(offer)) = ng::read(message) {
        let _ = (ng::offered_codecs(&offer), ng::kind_of(&offer.sdp));
    }
}
