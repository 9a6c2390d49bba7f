//! URIs: parts, refusals, comparison by RFC 3261 §19.1.4 and RFC 3966 §4.

use offhook_sip_message::header::Transport;
use offhook_sip_message::{Host, Scheme, Uri, UriBuf, UriBuilder};

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn all_parts() {
    let parts = uri(
        "sips:al%20ice:secret@[2001:db8::9]:5071;transport=TCP;lr;maddr=239.0.0.1?subject=x&priority=urgent",
    );
    assert_eq!(parts.scheme(), Scheme::Sips);
    assert_eq!(parts.user_unescaped().unwrap().as_ref(), b"al ice");
    assert_eq!(parts.password(), Some(&b"secret"[..]));
    assert_eq!(parts.host(), Some(Host::V6("2001:db8::9".parse().unwrap())));
    assert_eq!((parts.port(), parts.port_or_default()), (Some(5071), 5071));
    assert_eq!(parts.transport(), Some(Transport::Tcp));
    assert!(parts.is_loose_router());
    assert_eq!(parts.maddr(), Some(Host::V4("239.0.0.1".parse().unwrap())));
    assert_eq!(parts.headers(), b"subject=x&priority=urgent");
}

#[test]
fn ports_default_by_scheme_and_transport() {
    assert_eq!(uri("sip:a").port_or_default(), 5060);
    assert_eq!(uri("sips:a").port_or_default(), 5061);
    assert_eq!(uri("sip:a;transport=tls").port_or_default(), 5061);
}

#[test]
fn tel_numbers() {
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!(
        (tel.scheme(), tel.user(), tel.host()),
        (Scheme::Tel, Some(&b"+1-201-555-0123"[..]), None)
    );
    assert_eq!(tel.params().get("phone-context"), Some(&b"example.com"[..]));
}

#[test]
fn malformed_uris_are_refused() {
    for bad in [
        "",
        "sip",
        "sip:",
        ":a",
        "sip:@host",
        "sip:a b@host",
        "sip:user@",
        "sip:user@ho st",
        "sip:user@host:",
        "sip:user@host:99999",
        "sip:user@host:-1",
        "sip:user@[::1",
        "sip:user@[::zz]",
        "sip:us<er@host",
        "sip:user@host;",
        "sip:user@host;;lr",
        "sip:user@host;a=",
        "sip:user@host;=b",
        "sip:us%4zr@host",
        "sip:user%@host",
        "sip:a@b@c",
        "sip:user@host?",
        "sip:user@host?=x",
        "sip:us\"er@host",
        "sip:user@host\r\n",
        "sip:us\u{e9}r@host",
        "tel:",
        "tel:abc!",
        "1sip:x",
        "sip:user@ho_st^",
    ] {
        assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad:?}");
        assert!(UriBuf::new(bad.to_owned()).is_err(), "{bad:?}");
    }
}

#[test]
fn equivalent_pairs() {
    for (a, b) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=a&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=a",
        ),
        ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:123;a=b;c=d", "tel:123;C=D;A=B"),
    ] {
        assert!(
            uri(a).is_equivalent(&uri(b)) && uri(b).is_equivalent(&uri(a)),
            "{a} and {b}"
        );
    }
}

#[test]
fn different_pairs() {
    for (a, b) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:a:pw@b"),
        ("tel:+123", "tel:123"),
        ("tel:123;a=b", "tel:123"),
    ] {
        assert!(
            !uri(a).is_equivalent(&uri(b)) && !uri(b).is_equivalent(&uri(a)),
            "{a} and {b}"
        );
    }
}

#[test]
fn built_uris_are_escaped_and_read_back() {
    let host = Host::V6("::1".parse().unwrap());
    let built = UriBuilder::sip(Some(b"a b@c\r\n%#"), host, Some(5070))
        .param("transport", "tcp")
        .flag("lr")
        .build()
        .unwrap();
    assert_eq!(
        built.to_string(),
        "sip:a%20b%40c%0D%0A%25%23@[::1]:5070;transport=tcp;lr"
    );
    assert_eq!(built.uri().user_unescaped().unwrap().as_ref(), b"a b@c\r\n%#");
    assert!(UriBuilder::sip(None, Host::Name(b"a b"), None).build().is_err());
    assert!(
        UriBuilder::sip(None, Host::Name(b"h"), None)
            .param("x", "a\r\nb")
            .build()
            .is_err()
    );
}

/// Found by fuzzing: each `user` was compared with the first one.
#[test]
fn a_uri_is_equivalent_to_itself_even_where_a_parameter_stands_twice() {
    let twice = uri("sip:a@b;user=ip;user=phone");
    assert!(twice.is_equivalent(&twice));
}

/// Each with each would be millions of comparisons for one datagram.
#[test]
fn uris_with_hundreds_of_headers_are_the_same_only_byte_by_byte() {
    let many = |numbers: &mut dyn Iterator<Item = u32>| {
        let headers: Vec<String> = numbers.map(|number| format!("h{number}=x")).collect();
        format!("sip:a@b?{}", headers.join("&"))
    };
    let (up, down) = (many(&mut (0..300)), many(&mut (0..300).rev()));
    assert!(uri(&up).is_equivalent(&uri(&up)));
    assert!(!uri(&up).is_equivalent(&uri(&down)));
    let (up, down) = (many(&mut (0..30)), many(&mut (0..30).rev()));
    assert!(uri(&up).is_equivalent(&uri(&down)), "order does not matter");
}
