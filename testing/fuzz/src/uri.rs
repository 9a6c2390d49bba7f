//! URIs, and the numbers and users that a dial plan finds in them.

use offhook_sip_message::{Host, Uri, UriBuf, UriBuilder};
use offhook_sip_proxy::dial_plan::{Number, UserName};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"sip:alice:secret@[2001:db8::1]:5061;transport=tcp;maddr=192.0.2.1;lr?X-A=1&Subject=a%20b",
    b"sips:+1-555-0100;ext=3@example.com;user=phone",
    b"tel:+49(30)123-456;phone-context=example.com",
    b"sip:%61lice%00%0d%0a@EXAMPLE.com",
    b"urn:service:sos",
];

pub(crate) fn uri(input: &[u8]) {
    let Ok(uri) = Uri::parse(input) else {
        return;
    };
    let owned = uri.to_buf();
    assert_eq!(owned.as_bytes(), input, "a copy has the same bytes");
    assert!(uri.is_equivalent(&owned.uri()), "a URI means what it means");
    let _ = (
        uri.port_or_default(),
        uri.is_loose_router(),
        uri.transport(),
        uri.maddr(),
    );
    let _ = (uri.headers(), uri.password(), uri.scheme());
    if let Some(host) = uri.host() {
        rebuild(uri.user_unescaped().as_deref(), host, uri.port());
    }
    if let Ok(number) = Number::of(&uri) {
        let right = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#' | b'+');
        assert!(
            number.as_str().bytes().all(right),
            "a number is dialled: {:?}",
            number.as_str()
        );
        let rewritten = number.rewritten(1, "00");
        assert!(rewritten.is_none_or(|text| text.bytes().all(right)));
    }
    if let Some(user) = UserName::of(&uri) {
        assert!(!user.as_str().contains(['\r', '\n', '\0']));
    }
}

/// Whatever a user part is, it can be written so that it is read again.
fn rebuild(user: Option<&[u8]>, host: Host<'_>, port: Option<u16>) {
    let Ok(built) = UriBuilder::sip(user, host, port).build() else {
        return;
    };
    let read = UriBuf::new(built.as_bytes().to_vec()).expect("what we write reads back");
    assert_eq!(
        read.uri().user_unescaped().as_deref(),
        user,
        "escapes do not change a name"
    );
}
