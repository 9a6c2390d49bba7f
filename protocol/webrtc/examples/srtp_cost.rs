//! CPU time that one SRTP packet costs a gateway: unprotect it with one leg's keys and protect it with another's, over
//! 1,000 legs in turn, so that keys come from where a loaded node has them. `cargo run --release --example srtp_cost`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod measure;

use measure::cpu_ns;
use offhook_rtp::{RtpFields, Ssrc};
use offhook_webrtc::srtp::{GROWTH_MAX, Session, SrtpProfile};

const LEGS: usize = 1_000;
const ROUNDS: u16 = 200;
const REPEATS: usize = 5;
const BUFFER_LEN: usize = 12 + 160 + 2 * GROWTH_MAX;

/// A leg and the peer that sends to it.
struct Leg {
    ours: Session,
    theirs: Session,
}

fn main() {
    println!("profile                   payload  µs per unprotect + protect, median of {REPEATS} (min)");
    for profile in [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::AesCm128HmacSha1_80,
    ] {
        for payload_len in [80, 160] {
            let mut costs: Vec<f64> = (0..REPEATS).map(|_| measure(profile, payload_len)).collect();
            costs.sort_by(f64::total_cmp);
            let (min, median) = (costs[0], costs[REPEATS / 2]);
            println!(
                "{:<25} {payload_len:>7}  {median:.3} ({min:.3})",
                profile.to_string()
            );
        }
    }
}

/// µs of CPU per packet.
fn measure(profile: SrtpProfile, payload_len: usize) -> f64 {
    let mut legs: Vec<Leg> = (0..LEGS).map(|index| leg(profile, index)).collect();
    let mut spent_ns = 0;
    let mut arrived: Vec<([u8; BUFFER_LEN], usize)> = Vec::with_capacity(LEGS);
    for round in 0..ROUNDS {
        arrived.clear();
        arrived.extend(legs.iter_mut().map(|leg| sealed(leg, round, payload_len)));
        let start = cpu_ns();
        for (index, (buffer, len)) in arrived.iter_mut().enumerate() {
            let plain = legs[index]
                .ours
                .inbound
                .unprotect_rtp(&mut buffer[..*len])
                .expect("it was sealed for this leg");
            let other = &mut legs[(index + LEGS / 2) % LEGS].ours.outbound;
            *len = other
                .protect_rtp(buffer, plain)
                .expect("its sequence number is new");
        }
        spent_ns += cpu_ns() - start;
    }
    spent_ns as f64 / 1_000.0 / (LEGS * usize::from(ROUNDS)) as f64
}

fn leg(profile: SrtpProfile, index: usize) -> Leg {
    let len = 2 * (profile.key_len() + profile.salt_len());
    let material: Vec<u8> = (0..len)
        .map(|at| (at * 7 + index * 13) as u8 ^ (index >> 8) as u8)
        .collect();
    let session =
        |is_client| Session::from_dtls(profile, &material, is_client).expect("the material has its length");
    Leg {
        ours: session(false),
        theirs: session(true),
    }
}

fn sealed(leg: &mut Leg, sequence: u16, payload_len: usize) -> ([u8; BUFFER_LEN], usize) {
    let fields = RtpFields {
        marker: false,
        payload_type: 111,
        sequence,
        timestamp: 0,
        ssrc: Ssrc(1),
    };
    let mut buffer = [0x55; BUFFER_LEN];
    buffer[..12].copy_from_slice(&fields.to_header());
    let len = leg
        .theirs
        .outbound
        .protect_rtp(&mut buffer, 12 + payload_len)
        .expect("the buffer has room");
    (buffer, len)
}
