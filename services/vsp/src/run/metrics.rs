//! Counters and gauges of the VSP.

use crate::auth::Refusal;
use crate::output::{Counts, EndedBy, Rejection, TransferWay};
use offhook_process::Context;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use std::time::Duration;

/// Upper ends of the buckets of the set-up time, seconds: machines answer in milliseconds, people in tens of seconds.
const SETUP_BUCKETS: [f64; 11] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    by: String,
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transfer {
    way: String,
    outcome: String,
}

/// All metrics of the VSP; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    sockets: Gauge,
    sessions: Gauge,
    detached: Gauge,
    calls: Gauge,
    connected: Gauge,
    sip_legs: Gauge,
    commands: Gauge,
    calls_started: Counter,
    calls_ended: Family<End, Counter>,
    transfers: Family<Transfer, Counter>,
    logins: Family<Outcome, Counter>,
    rejected: Family<Reason, Counter>,
    setup: Histogram,
}

impl Metrics {
    /// Metrics that are registered in `context`.
    pub(super) fn new(context: &Context) -> Self {
        let metrics = Self {
            sockets: Gauge::default(),
            sessions: Gauge::default(),
            detached: Gauge::default(),
            calls: Gauge::default(),
            connected: Gauge::default(),
            sip_legs: Gauge::default(),
            commands: Gauge::default(),
            calls_started: Counter::default(),
            calls_ended: Family::default(),
            transfers: Family::default(),
            logins: Family::default(),
            rejected: Family::default(),
            setup: Histogram::new(SETUP_BUCKETS),
        };
        let m = metrics.clone();
        context.register(|all| {
            let vsp = all.sub_registry_with_prefix("vsp");
            vsp.register("websockets", "WebSockets that are open", m.sockets);
            vsp.register(
                "sessions",
                "Client sessions, with those that lost their socket",
                m.sessions,
            );
            vsp.register(
                "sessions_detached",
                "Client sessions that lost their socket",
                m.detached,
            );
            vsp.register("calls", "Calls that a client or the gateway still knows", m.calls);
            vsp.register(
                "calls_connected",
                "Of the calls those of two far parties after a transfer, without a client",
                m.connected,
            );
            vsp.register(
                "transfers",
                "Transfers that have ended, by who made them and outcome",
                m.transfers,
            );
            vsp.register("sip_legs", "Calls of the SIP user agent", m.sip_legs);
            vsp.register(
                "commands_pending",
                "Commands that the gateway has not replied to",
                m.commands,
            );
            vsp.register("calls_started", "Calls of users and for users", m.calls_started);
            vsp.register(
                "calls_ended",
                "Calls that are over, by who ended them and why",
                m.calls_ended,
            );
            vsp.register("logins", "Logins, by outcome", m.logins);
            vsp.register(
                "frames_rejected",
                "Frames, requests and connections refused, by reason",
                m.rejected,
            );
            vsp.register(
                "call_setup_seconds",
                "From the invite to the answer, of calls of users and of calls for them",
                m.setup,
            );
        });
        metrics
    }

    pub(super) fn set_counts(&self, counts: &Counts) {
        let gauge = |gauge: &Gauge, count: usize| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        gauge(&self.sockets, counts.connections);
        gauge(&self.sessions, counts.sessions);
        gauge(&self.detached, counts.detached);
        gauge(&self.calls, counts.calls);
        gauge(&self.connected, counts.connected);
        gauge(&self.sip_legs, counts.sip.legs);
        gauge(&self.commands, counts.commands);
    }

    pub(super) fn login(&self, outcome: Result<(), Refusal>) {
        let outcome = match outcome {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => kebab(&format!("{refusal:?}")),
        };
        self.logins.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn rejected(&self, why: Rejection) {
        self.rejected_as(why.as_str());
    }

    pub(super) fn rejected_as(&self, reason: &str) {
        self.rejected
            .get_or_create(&Reason {
                reason: reason.to_owned(),
            })
            .inc();
    }

    pub(super) fn call_started(&self) {
        self.calls_started.inc();
    }

    pub(super) fn call_answered(&self, setup: Duration) {
        self.setup.observe(setup.as_secs_f64());
    }

    pub(super) fn transfer(&self, way: TransferWay, status: u16) {
        let outcome = if status < 300 { "done" } else { "failed" };
        self.transfers
            .get_or_create(&Transfer {
                way: way.as_str().to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    pub(super) fn call_ended(&self, by: EndedBy, cause: &str) {
        self.calls_ended
            .get_or_create(&End {
                by: by.as_str().to_owned(),
                cause: cause.to_owned(),
            })
            .inc();
    }
}

/// `TokenExpired` as `token-expired`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
