//! Memory of a connected leg, and CPU time of setting one up together with its peer, from 1,000 handshakes in a virtual
//! network. `cargo run --release --example leg_cost`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use measure::cpu_ns;
use offhook_webrtc::{DtlsRole, WebRtcLeg};
use support::client::Version;
use support::{PERFECT, World};

const LEGS: u64 = 1_000;

fn main() {
    for version in [Version::Dtls12, Version::Dtls13] {
        // The first ones fill the allocator's pools with what their peers leave behind.
        let warm: Vec<WebRtcLeg> = (0..LEGS).map(|seed| connected(seed, version)).collect();
        let before = resident_kib();
        let start = cpu_ns();
        let legs: Vec<WebRtcLeg> = (0..LEGS).map(|seed| connected(seed, version)).collect();
        let spent_us = (cpu_ns() - start) / 1_000 / LEGS;
        let kib = (resident_kib() - before) as f64 / LEGS as f64;
        println!(
            "{version:?}: {kib:.1} KiB resident per leg ({} bytes of it the value itself), {spent_us} µs of CPU for \
                  both ends' ICE and DTLS and the simulation",
            size_of::<WebRtcLeg>()
        );
        // Kept, so that the next measurement does not find their memory free.
        std::mem::forget((warm, legs));
    }
}

fn connected(seed: u64, version: Version) -> WebRtcLeg {
    let mut world = World::new(seed, PERFECT, version, DtlsRole::Passive);
    world.connect();
    world.exchange_media(2);
    world.leg
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("VmRSS is among it");
    line.split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok())
        .expect("it is a number of KiB")
}
