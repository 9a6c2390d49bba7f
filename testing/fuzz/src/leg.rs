//! The media port before and during the handshake: STUN, DTLS and media of strangers and of the peer, at a leg whose path
//! was found.

use crate::words::split;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceCreds, Protocol};
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::{
    Certificate, DtlsRole, Fingerprint, HashFunction, LegConfig, Path, Received, RemoteParameters, WebRtcLeg,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A ClientHello of DTLS 1.2 with what a browser has in it, an alert, application data, a ChangeCipherSpec.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x16\xfe\xff\0\0\0\0\0\0\0\0\0\x60\x01\0\0\x54\0\0\0\0\0\0\0\x54\xfe\xfd0123456789abcdef0123456789abcdef\0\0\0\x06\xc0\x2b\xc0\x2f\0\xff\x01\0\0\x24\0\x17\0\0\0\x0d\0\x04\0\x02\x04\x03\0\x0a\0\x04\0\x02\0\x17\0\x0b\0\x02\x01\0\0\x0e\0\x07\0\x04\0\x01\0\x07\0",
    b"\x15\xfe\xfd\0\0\0\0\0\0\0\0\0\x02\x02\x28----\x14\xfe\xfd\0\0\0\0\0\0\0\0\0\x01\x01----\x17\xfe\xfd\0\x01\0\0\0\0\0\0\0\x04abcd",
    b"\x80\x6f\0\x01\0\0\0\xa0\x12\x34\x56\x78payload----\x81\xc8\0\x06\x12\x34\x56\x78----\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl",
];

/// Datagrams of one input.
const DATAGRAMS_MAX: usize = 16;
/// Timer runs after the input: handshakes and paths have ended by then.
const WAKES_MAX: usize = 200;
const LOCAL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 3478));
const REMOTE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 4000));
const PATH: Path = Path {
    local: LOCAL,
    remote: REMOTE,
};

static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
static START: OnceLock<Instant> = OnceLock::new();

pub(crate) fn datagrams(input: &[u8]) {
    let mut now = *START.get_or_init(Instant::now);
    let mut leg = connected(now, input.len());
    let mut rest = input;
    for _ in 0..DATAGRAMS_MAX {
        let (datagram, next) = split(rest);
        let mut datagram = datagram.to_vec();
        let received = leg.handle_datagram(now, PATH, &mut datagram);
        assert!(
            !matches!(received, Received::Rtp { .. } | Received::Rtcp { .. }),
            "no media comes out before there are keys"
        );
        drain(&mut leg);
        now += Duration::from_millis(20);
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    for _ in 0..WAKES_MAX {
        let Some(due) = leg.poll_timeout() else {
            break;
        };
        now = now.max(due);
        leg.handle_timeout(now);
        drain(&mut leg);
    }
    assert!(!leg.is_connected(), "a handshake with nobody does not succeed");
}

/// A leg whose peer has shown by ICE that it is there.
fn connected(now: Instant, turn: usize) -> WebRtcLeg {
    let certificate = CERTIFICATE.get_or_init(|| Certificate::generate().expect("keys can be drawn"));
    let mut leg = WebRtcLeg::new(
        &LegConfig::new(certificate.clone()),
        &mut StdRng::seed_from_u64(1),
    );
    let (ufrag, pass) = ("theirs".to_owned(), "p".repeat(24));
    leg.set_remote(
        now,
        RemoteParameters {
            ice: IceCredentials {
                ufrag: ufrag.clone(),
                pwd: pass.clone(),
            },
            fingerprints: vec![Fingerprint::of(HashFunction::Sha256, b"another certificate")],
            dtls_role: match turn.is_multiple_of(2) {
                true => DtlsRole::Passive,
                false => DtlsRole::Active,
            },
        },
    );
    let mut agent = IceAgent::new(IceCreds { ufrag, pass });
    agent.set_controlling(true);
    agent.add_local_candidate(Candidate::host(REMOTE, "udp").expect("an address"));
    agent.add_remote_candidate(Candidate::host(LOCAL, "udp").expect("an address"));
    let ours = leg.local_credentials();
    agent.set_remote_credentials(IceCreds {
        ufrag: ours.ufrag.clone(),
        pass: ours.pwd.clone(),
    });
    // A check of the pair, and one that nominates it.
    for round in 0..8 {
        agent.handle_timeout(now + Duration::from_millis(50 * round));
        while let Some(check) = agent.poll_transmit() {
            leg.handle_datagram(now, PATH, &mut check.contents.to_vec());
        }
        while let Some(answer) = leg.poll_transmit() {
            if let Ok(message) = StunMessage::parse(&answer.bytes) {
                let packet = StunPacket {
                    proto: Protocol::Udp,
                    source: LOCAL,
                    destination: REMOTE,
                    message,
                };
                agent.handle_packet(now, packet);
            }
        }
        while agent.poll_event().is_some() {}
    }
    assert_eq!(leg.selected_path(), Some(PATH), "the peer is there");
    leg
}

fn drain(leg: &mut WebRtcLeg) {
    while leg.poll_transmit().is_some() {}
    while leg.poll_event().is_some() {}
}
