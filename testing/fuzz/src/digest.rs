//! Challenges that are answered, and answers that are checked.

use bytes::Bytes;
use offhook_sip::digest::{Authenticator, Credentials, verify};
use offhook_sip_message::{Message, Method, header};

pub(crate) const SEEDS: &[&[u8]] = &[
    br##"Digest realm="a, b", nonce="n\"1", qop="auth,auth-int", algorithm=SHA-256, opaque="o", stale=TRUE"##,
    br##"Digest realm="r",nonce="n", algorithm=MD5-sess, Basic realm="x", Digest realm="s", nonce=2, algorithm=SHA-512-256"##,
    br##"Digest username="alice", realm="r", nonce="n", uri="sip:r", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, cnonce="c", nc=00000001, qop=auth"##,
];

pub(crate) fn challenge(input: &[u8]) {
    let credentials = Credentials {
        username: "alice".into(),
        password: "wonderland".into(),
    };
    let mut authenticator = Authenticator::new(credentials);
    for name in ["WWW-Authenticate", "Proxy-Authenticate"] {
        if let Some(response) = with_header("SIP/2.0 401 Unauthorized", name, input)
            && authenticator.handle_challenge(&response, "cnonce").is_ok()
        {
            for (name, value) in authenticator.headers(&Method::Invite, b"sip:bob@example.com") {
                let name = std::str::from_utf8(name.as_bytes()).expect("a name of ours");
                let request = with_header("INVITE sip:bob@example.com SIP/2.0", name, value.as_bytes());
                let request = request.expect("what we write reads back");
                assert!(
                    request
                        .all::<header::Authorization<'_>>()
                        .all(|read| read.is_ok())
                );
                assert!(
                    request
                        .all::<header::ProxyAuthorization<'_>>()
                        .all(|read| read.is_ok())
                );
            }
        }
    }
    let answer = with_header("REGISTER sip:r SIP/2.0", "Authorization", input);
    for given in answer
        .iter()
        .flat_map(|answer| answer.all::<header::Authorization<'_>>().flatten())
    {
        let nobody = verify(&given, &Method::Register, "r", "n", |_| None);
        assert!(nobody.is_err(), "who is not known is not let in");
        let _ = verify(&given, &Method::Register, "r", "n", |_| {
            Some("wonderland".to_owned())
        });
    }
    if let Some(accepted) = with_header("SIP/2.0 200 OK", "Authentication-Info", input) {
        authenticator.handle_accepted_response(&accepted);
    }
}

fn with_header(start: &str, name: &str, value: &[u8]) -> Option<Message> {
    let rest = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
        Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let text = [
        start.as_bytes(),
        b"\r\n",
        name.as_bytes(),
        b": ",
        value,
        b"\r\n",
        rest.as_bytes(),
    ]
    .concat();
    Message::parse(Bytes::from(text)).ok()
}
