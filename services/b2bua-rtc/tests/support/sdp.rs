//! Descriptions as browsers and carriers write them.

use super::client::Client;
use std::fmt::Write;
use std::net::SocketAddr;

/// A browser's description with `codecs` as in the m-line: 111 is Opus, 0 and 8 are G.711, 110 and 126 telephone-event.
pub(crate) fn browser(client: &Client, codecs: &str) -> String {
    browser_with(client, codecs, &client.fingerprint().to_string(), "actpass")
}

pub(crate) fn browser_with(client: &Client, codecs: &str, fingerprint: &str, setup: &str) -> String {
    let credentials = client.credentials();
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 40000 UDP/TLS/RTP/SAVPF {codecs}\r\nc=IN IP4 192.0.2.1\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:1 1 udp 2113937151 192.0.2.1 40000 typ host\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:0\r\n\
         a=sendrecv\r\na=rtcp-mux\r\n{}",
        credentials.ufrag,
        credentials.pwd,
        maps(codecs)
    )
}

/// A carrier's description.
pub(crate) fn carrier(address: SocketAddr, codecs: &str) -> String {
    carrier_with(address, codecs, "sendrecv")
}

pub(crate) fn carrier_with(address: SocketAddr, codecs: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=- 5 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP {codecs}\r\n{}a={direction}\r\n",
        address.port(),
        maps(codecs),
        ip = address.ip(),
    )
}

/// What follows `start` on its line.
pub(crate) fn value<'a>(sdp: &'a str, start: &str) -> &'a str {
    sdp.lines()
        .find_map(|line| line.strip_prefix(start))
        .unwrap_or_else(|| panic!("no {start} in {sdp}"))
}

/// Port of the audio section.
pub(crate) fn port(sdp: &str) -> u16 {
    value(sdp, "m=audio ").split(' ').next().unwrap().parse().unwrap()
}

fn maps(codecs: &str) -> String {
    let mut out = String::new();
    for payload_type in codecs.split(' ') {
        let name = match payload_type {
            "111" => "opus/48000/2",
            "0" => "PCMU/8000",
            "8" => "PCMA/8000",
            "110" => "telephone-event/48000",
            "126" | "101" => "telephone-event/8000",
            "13" => "CN/8000",
            other => panic!("{other}"),
        };
        write!(out, "a=rtpmap:{payload_type} {name}\r\n").unwrap();
    }
    out
}
