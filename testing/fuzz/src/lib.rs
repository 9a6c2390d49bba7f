//! Fuzz targets: every reader of what comes in from outside, and what is done with it next.
//!
//! A target takes any bytes and returns; a panic, or a broken promise that the target checks, is a finding. The
//! `offhook-fuzz` binary mutates seeds for a bounded time; `libfuzzer/` runs the same targets guided by coverage.

mod audio;
mod control;
mod digest;
mod dns;
mod leg;
pub mod mutate;
mod redaction;
mod rpc;
mod rtp;
mod sdp;
mod servers;
mod sip;
mod sip_extensions;
mod sip_stack;
mod stun;
mod upload;
mod uri;
mod words;

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// Takes one input.
    pub run: fn(&[u8]),
    /// Well-formed inputs to start from.
    pub seeds: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "sip-message",
        run: sip::message,
        seeds: sip::SEEDS,
    },
    Target {
        name: "sip-stream",
        run: sip::stream,
        seeds: sip::SEEDS,
    },
    Target {
        name: "sip-stack",
        run: sip_stack::user_agent,
        seeds: sip::SEEDS,
    },
    Target {
        name: "sip-extensions",
        run: sip_extensions::user_agent,
        seeds: sip_extensions::SEEDS,
    },
    Target {
        name: "sdp",
        run: sdp::description,
        seeds: sdp::SEEDS,
    },
    Target {
        name: "offer-answer",
        run: sdp::negotiation,
        seeds: sdp::SEEDS,
    },
    Target {
        name: "stun",
        run: stun::datagram,
        seeds: stun::SEEDS,
    },
    Target {
        name: "rtp",
        run: rtp::packet,
        seeds: rtp::SEEDS,
    },
    Target {
        name: "srtp",
        run: rtp::protected,
        seeds: rtp::SEEDS,
    },
    Target {
        name: "audio",
        run: audio::pipeline,
        seeds: audio::SEEDS,
    },
    Target {
        name: "rpc",
        run: rpc::frame,
        seeds: rpc::SEEDS,
    },
    Target {
        name: "uri",
        run: uri::uri,
        seeds: uri::SEEDS,
    },
    Target {
        name: "digest",
        run: digest::challenge,
        seeds: digest::SEEDS,
    },
    Target {
        name: "leg",
        run: leg::datagrams,
        seeds: leg::SEEDS,
    },
    Target {
        name: "control-link",
        run: control::link,
        seeds: control::LINK_SEEDS,
    },
    Target {
        name: "ng",
        run: control::ng,
        seeds: control::NG_SEEDS,
    },
    Target {
        name: "redaction",
        run: redaction::redaction,
        seeds: redaction::SEEDS,
    },
    Target {
        name: "vsp",
        run: servers::vsp,
        seeds: servers::VSP_SEEDS,
    },
    Target {
        name: "sip-proxy",
        run: servers::proxy,
        seeds: servers::PROXY_SEEDS,
    },
    Target {
        name: "upload",
        run: upload::upload,
        seeds: upload::SEEDS,
    },
    Target {
        name: "dns",
        run: dns::message,
        seeds: dns::SEEDS,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
