//! Descriptions and local sides that several tests use.

use offhook_offer_answer::{
    Codec, Fingerprint, IceCredentials, OpusParams, RtpLegNegotiation, RtpLocal, WebRtcLegNegotiation,
    WebRtcLocal,
};

/// A fingerprint line's value.
pub(crate) const FINGERPRINT: &str =
    "sha-256 AB:CD:EF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC";

/// What Chromium offers for one audio transceiver.
pub(crate) fn chromium_offer() -> String {
    format!(
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS 3b2c\r\n\
         m=audio 51234 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 203.0.113.9\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:1 1 udp 2113937151 6f0d8c.local 51234 typ host generation 0 network-cost 999\r\n\
         a=candidate:2 1 udp 1677729535 203.0.113.9 51234 typ srflx raddr 0.0.0.0 rport 0 generation 0\r\n\
         a=candidate:3 1 tcp 1518280447 192.0.2.5 9 typ host tcptype active generation 0\r\n\
         a=ice-ufrag:9Xw2\r\na=ice-pwd:Zt1bZt1bZt1bZt1bZt1bZt1b\r\na=ice-options:trickle\r\n\
         a=fingerprint:{FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:3b2c 77aa\r\n\
         a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n\
         a=ssrc:123456789 cname:abc\r\n"
    )
}

/// A browser's answer to an offer of ours, with these codec lines.
pub(crate) fn browser_answer(formats: &str, codec_lines: &str) -> String {
    format!(
        "v=0\r\no=- 77 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:bUfr\r\n\
         a=ice-pwd:bPwdbPwdbPwdbPwdbPwdbPwd\r\na=fingerprint:{FINGERPRINT}\r\na=setup:active\r\na=mid:0\r\n\
         a=sendrecv\r\na=rtcp-mux\r\n{codec_lines}"
    )
}

/// A gateway's side of a WebRTC leg.
pub(crate) fn web_leg() -> WebRtcLegNegotiation {
    WebRtcLegNegotiation::new(WebRtcLocal {
        session_id: 42,
        ice: IceCredentials {
            ufrag: "srvU".to_owned(),
            pwd: "srvPasswordsrvPassword22".to_owned(),
        },
        fingerprint: Fingerprint::sha256([0x11; 32]),
        addresses: vec![
            "198.51.100.7:3478".parse().expect("an address"),
            "[2001:db8::7]:3478".parse().expect("an address"),
        ],
        ssrc: 1001,
        cname: "vsp".to_owned(),
        codecs: Codec::ALL.to_vec(),
        opus: OpusParams::default(),
        max_bitrate_bps: None,
    })
}

/// A gateway's side of an RTP leg with these codecs.
pub(crate) fn rtp_leg(codecs: &[Codec]) -> RtpLegNegotiation {
    RtpLegNegotiation::new(RtpLocal {
        session_id: 43,
        address: "198.51.100.8:20000".parse().expect("an address"),
        rtcp_port: None,
        codecs: codecs.to_vec(),
        opus: OpusParams::default(),
        packet_ms: 20,
        max_bitrate_bps: None,
    })
}

/// A carrier's description with this audio section.
pub(crate) fn carrier(section: &str) -> String {
    format!("v=0\r\no=c 1 1 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n{section}\r\n")
}
