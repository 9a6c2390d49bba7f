//! Session descriptions, and the negotiation that reads them.

use offhook_offer_answer::{
    Codec, Direction, IceCredentials, OpusParams, RtpLegNegotiation, RtpLocal, WebRtcLegNegotiation,
    WebRtcLocal,
};
use offhook_sdp::SessionDescription;
use offhook_sdp::attribute::{Candidate, Fingerprint, Fmtp, Mid, RtpMap, Setup};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS 3b2c\r\nm=audio 51234 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 203.0.113.9\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1 1 udp 2113937151 6f0d.local 51234 typ host generation 0 network-cost 999\r\na=candidate:2 1 udp 1677729535 203.0.113.9 51234 typ srflx raddr 0.0.0.0 rport 0\r\na=ice-ufrag:9Xw2\r\na=ice-pwd:Zt1bZt1bZt1bZt1bZt1bZt1b\r\na=ice-options:trickle\r\na=fingerprint:sha-256 AB:CD:EF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=msid:3b2c 77aa\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=24000\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:123456789 cname:x\r\n",
    b"v=0\r\no=carrier 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendonly\r\nb=AS:64\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n",
    b"v=0\no=x 1 1 IN IP6 ::1\ns=-\nt=0 0\nm=audio 0 RTP/AVP 8\nm=video 9 UDP/TLS/RTP/SAVPF 96\nc=IN IP6 ::1\n",
    // What fuzzing has found before.
    b"v=0\r\no=- 1 1 IN IP4 127.0.0\x0c/.1\r\ns=-\r\nt=0 0\r\n",
];

pub(crate) fn description(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(session) = SessionDescription::parse(text) else {
        return;
    };
    let printed = session.to_string();
    let again = SessionDescription::parse(&printed).expect("what is printed reads back");
    assert_eq!(again.to_string(), printed, "printing is stable");
    for section in &session.media {
        let attributes = &section.attributes;
        let _ = section.payload_types().count();
        for candidate in attributes.all::<Candidate>().flatten() {
            let _ = candidate.address();
        }
        for fmtp in attributes.all::<Fmtp>().flatten() {
            let _ = fmtp.enabled("useinbandfec");
        }
        let _ = attributes.all::<RtpMap>().count();
        let _ = (
            attributes.first::<Fingerprint>(),
            attributes.first::<Setup>(),
            attributes.first::<Mid>(),
        );
        let _ = (attributes.direction(), session.connection_of(section));
    }
}

/// A description as offer and as answer, on either kind of leg; what we answer must read back.
pub(crate) fn negotiation(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut browser = WebRtcLegNegotiation::new(web_local());
    if browser.handle_offer(text).is_ok()
        && let Ok(answer) = browser.answer(&Codec::ALL)
    {
        SessionDescription::parse(&answer).expect("our answer reads back");
    }
    let mut browser = WebRtcLegNegotiation::new(web_local());
    SessionDescription::parse(&browser.offer(Direction::SendRecv)).expect("our offer reads back");
    let _ = browser.handle_answer(text);
    let mut carrier = RtpLegNegotiation::new(rtp_local());
    if carrier.handle_offer(text).is_ok()
        && let Ok(answer) = carrier.answer(&Codec::ALL, Direction::SendRecv)
    {
        SessionDescription::parse(&answer).expect("our answer reads back");
    }
    let mut carrier = RtpLegNegotiation::new(rtp_local());
    SessionDescription::parse(&carrier.offer(Direction::SendRecv)).expect("our offer reads back");
    let _ = carrier.handle_answer(text);
}

const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3478));

fn web_local() -> WebRtcLocal {
    WebRtcLocal {
        session_id: 1,
        ice: IceCredentials {
            ufrag: "ours".into(),
            pwd: "p".repeat(24),
        },
        fingerprint: Fingerprint::sha256([7; 32]),
        addresses: vec![ADDRESS],
        ssrc: 1,
        cname: "fuzz".into(),
        codecs: Codec::ALL.to_vec(),
        opus: OpusParams::default(),
        max_bitrate_bps: None,
    }
}

fn rtp_local() -> RtpLocal {
    RtpLocal {
        session_id: 1,
        address: ADDRESS,
        rtcp_port: None,
        codecs: Codec::ALL.to_vec(),
        opus: OpusParams::default(),
        packet_ms: 20,
        max_bitrate_bps: None,
    }
}
