//! SIP messages: parsed, every header looked at, checked, edited, answered, and read again.

use bytes::Bytes;
use offhook_sip_message::framing::{Frame, Framer};
use offhook_sip_message::header::{self, Header};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, StatusCode, UriBuf, respond, validate};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"INVITE sip:+4930123456@127.0.0.1:5080;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKabc;rport\r\nv: SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK1;received=1.2.3.4, SIP/2.0/TCP h\r\nMax-Forwards: 70\r\nFrom: \"A. \\\"B\\\"\" <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: a84b4c76e66710@pc33\r\nCSeq: 314159 INVITE\r\nContact: <sip:alice@127.0.0.1:5070;transport=udp>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nX-Offhook-Call-Id: 3f2a\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    b"SIP/2.0 407 Proxy Authentication Required\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport=5070;received=127.0.0.1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nProxy-Authenticate: Digest realm=\"a, b\", nonce=\"n\", qop=\"auth,auth-int\", algorithm=SHA-256, stale=TRUE\r\nRetry-After: 18000;duration=3600 (x)\r\nContent-Length: 0\r\n\r\n",
    b"BYE sip:c@127.0.0.1:5080 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK2\r\nf: sip:a@b;tag=1\r\nt: <tel:+1;phone-context=x>;tag=2\r\ni: x\r\nCSeq: 2 BYE\r\nRoute: <sip:p;lr>\r\nReason: Q.850;cause=16;text=\"x\"\r\nSession-Expires: 1800;refresher=uac\r\nRAck: 1 1 INVITE\r\nReplaces: y;to-tag=1;from-tag=2;early-only\r\nl: 0\r\n\r\n",
    b"CANCEL sip:c@d SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK3\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 CANCEL\r\n\r\n",
];

pub(crate) fn message(input: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(input)) else {
        if let Some(salvaged) = Message::salvage(Bytes::copy_from_slice(input)) {
            look(&salvaged);
        }
        return;
    };
    look(&message);
    let verdict = validate(&message);
    if let Err(defect) = verdict {
        let _ = defect.status();
    }
    if message.is_request() {
        let answer = respond(&message, StatusCode::OK, None).build();
        if verdict.is_ok() {
            let answer = answer.expect("a valid request can be answered");
            Message::parse(answer.bytes().clone()).expect("what we write reads back");
        }
    }
    edit(&message);
}

/// Touches every header as every type.
fn look(message: &Message) {
    for line in message.headers() {
        let _ = (line.name.as_bytes(), line.value.len());
    }
    let _ = message
        .request_uri()
        .map(|uri| uri.map(|uri| (uri.host(), uri.is_loose_router(), uri.user_unescaped())));
    all::<header::Via<'_>>(message);
    all::<header::From<'_>>(message);
    all::<header::To<'_>>(message);
    all::<header::Contact<'_>>(message);
    all::<header::Route<'_>>(message);
    all::<header::RecordRoute<'_>>(message);
    all::<header::ReferTo<'_>>(message);
    all::<header::CSeq>(message);
    all::<header::CallId<'_>>(message);
    all::<header::ContentLength>(message);
    all::<header::MaxForwards>(message);
    all::<header::RetryAfter>(message);
    all::<header::Reason<'_>>(message);
    all::<header::Replaces<'_>>(message);
    all::<header::SessionExpires>(message);
    all::<header::RAck>(message);
    all::<header::WwwAuthenticate<'_>>(message);
    all::<header::ProxyAuthenticate<'_>>(message);
    all::<header::Authorization<'_>>(message);
    all::<header::ContentType<'_>>(message);
    all::<header::ProxyAuthorization<'_>>(message);
    all::<header::AuthenticationInfo<'_>>(message);
    all::<header::PAssertedIdentity<'_>>(message);
    all::<header::ReferredBy<'_>>(message);
    all::<header::Expires>(message);
    all::<header::MinExpires>(message);
    all::<header::MinSe>(message);
    all::<header::RSeq>(message);
}

fn all<'a, H: Header<'a>>(message: &'a Message) {
    for header in message.all::<H>().flatten().take(64) {
        let mut out = Vec::new();
        header.write(&mut out);
    }
}

/// What a proxy does to it must leave a message that reads back, with the body untouched.
fn edit(message: &Message) {
    let mut edit = Edit::new(message);
    let uri = UriBuf::new("sip:target@192.0.2.1").expect("well formed");
    if message.is_request() {
        edit.request_uri(&uri.uri());
    }
    let via = HeaderValue::new("SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKedit").expect("well formed");
    edit.prepend(HeaderName::Via, &via);
    edit.pop_values(HeaderName::Route, 1);
    edit.replace(HeaderName::MaxForwards, &HeaderValue::number(69u32));
    let edited = Message::parse(edit.finish()).expect("an edited message reads back");
    assert_eq!(edited.body(), message.body(), "the body is untouched");
    assert_eq!(
        edited.values(HeaderName::Via).next(),
        Some(via.as_bytes()),
        "our Via is the top one"
    );
}

/// The same bytes as a stream, in pieces whose lengths the input chooses.
pub(crate) fn stream(input: &[u8]) {
    let mut framer = Framer::new();
    let step = 1 + input.first().map_or(0, |&byte| usize::from(byte) % 64);
    for piece in input.chunks(step) {
        framer.feed(piece);
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(bytes))) => {
                    let _ = Message::parse(bytes);
                }
                Ok(Some(Frame::Ping)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
