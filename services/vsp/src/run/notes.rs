//! What the core tells of itself, as metrics, log lines and traces.

use super::metrics::Metrics;
use crate::output::{CallRecord, ConnectionId, Counts, Note, Rejection};
use crate::uploads::Report;
use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent, redact_json};
use offhook_media_control::{LegName, LegQuality};
use offhook_process::{Context, LogLimiter, TraceStore};
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Ids of sessions whose reports are taken: those of the last sessions, for reports come after their end too.
const REPORT_IDS_MAX: usize = 20_000;

/// Where notes go; clones share everything.
#[derive(Clone)]
pub(super) struct Notes {
    metrics: Metrics,
    traces: TraceStore,
    rejected_log: Arc<Mutex<LogLimiter>>,
    login_log: Arc<Mutex<LogLimiter>>,
    report_ids: Arc<Mutex<ReportIds>>,
}

#[derive(Default)]
struct ReportIds {
    known: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Notes {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            metrics: Metrics::new(context),
            traces: context.traces.clone(),
            rejected_log: Arc::default(),
            login_log: Arc::default(),
            report_ids: Arc::default(),
        }
    }

    pub(super) fn set_counts(&self, counts: &Counts) {
        self.metrics.set_counts(counts);
    }

    pub(super) fn trace(&self, call_id: &CallId, event: TraceEvent) {
        self.traces.record(call_id, event);
    }

    pub(super) fn take(&self, note: Note) {
        match note {
            Note::Login {
                address,
                outcome: Ok(user),
            } => {
                self.metrics.login(Ok(()));
                tracing::info!(%address, user, "logged in");
            }
            Note::Login {
                address,
                outcome: Err(refusal),
            } => {
                self.metrics.login(Err(refusal));
                if let Some(suppressed) = allow(&self.login_log) {
                    tracing::warn!(%address, %refusal, suppressed, "login refused");
                }
            }
            Note::Rejected {
                connection,
                why,
                detail,
            } => self.rejected(connection, why, &detail),
            Note::ReportIssued(id) => lock(&self.report_ids).add(id),
            Note::CallStarted {
                call_id,
                client_call,
                from,
                to,
            } => {
                self.metrics.call_started();
                self.traces.describe(&call_id, &from, &to);
                if !client_call.is_empty() {
                    self.traces.alias(&call_id, &client_call);
                }
                tracing::info!(%call_id, from, to, "call started");
            }
            Note::CallOffered { call_id, client_call } => self.traces.alias(&call_id, &client_call),
            Note::SipCallId { call_id, sip_call_id } => self.traces.alias(&call_id, &sip_call_id),
            Note::CallAnswered { call_id, setup } => {
                self.metrics.call_answered(setup);
                tracing::info!(%call_id, setup_ms = setup.as_millis(), "call answered");
            }
            Note::Transferred { call_id, way, status } => {
                self.metrics.transfer(way, status);
                tracing::info!(%call_id, way = way.as_str(), status, "transfer ended");
            }
            Note::CallEnded(record) => {
                self.metrics.call_ended(record.ended_by, record.cause.name);
                self.traces.ended(&record.call_id);
                log_end(&record);
            }
        }
    }

    fn rejected(&self, connection: ConnectionId, why: Rejection, detail: &str) {
        self.metrics.rejected(why);
        if let Some(suppressed) = allow(&self.rejected_log) {
            tracing::warn!(
                connection = connection.0,
                reason = why.as_str(),
                detail,
                suppressed,
                "frame rejected"
            );
        }
    }

    /// A connection was turned away before it was a WebSocket.
    pub(super) fn refused_connection(&self, address: IpAddr, why: &str) {
        self.metrics.rejected_as("connection");
        if let Some(suppressed) = allow(&self.rejected_log) {
            tracing::warn!(%address, why, suppressed, "connection refused");
        }
    }

    /// The WebSocket layer refused a frame: too long, or against the protocol. Also: a connection that broke.
    pub(super) fn broken_socket(&self, connection: ConnectionId, why: &str) {
        self.metrics.rejected_as("broken");
        if let Some(suppressed) = allow(&self.rejected_log) {
            tracing::warn!(connection = connection.0, why, suppressed, "WebSocket broken off");
        }
    }

    /// A client that does not read was dropped.
    pub(super) fn slow_client(&self) {
        self.metrics.rejected_as("slow-client");
    }

    /// Whether we have given this id to a client.
    pub(super) fn issued(&self, report_id: &str) -> bool {
        lock(&self.report_ids).known.contains(report_id)
    }

    /// The browser's own view of a call, into its trace. `call` is the client's id for it.
    pub(super) fn report(&self, call: &str, report: &Report) {
        let Some(traced) = self.traces.find(call) else {
            return;
        };
        let kept = json!({"summary": report.summary, "last_interval": report.last_interval});
        let detail = redact_json(&kept).to_string();
        let event = TraceEvent::message(Hop::Vsp, Hop::Client, Hop::Vsp, Protocol::JsonRpc, "call-report");
        self.traces.record(&traced.call_id, event.with_detail(detail));
    }
}

impl ReportIds {
    fn add(&mut self, id: String) {
        if self.in_order.len() == REPORT_IDS_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(id.clone());
        self.in_order.push_back(id);
    }
}

/// One line that says how the call went.
fn log_end(record: &CallRecord) {
    let seconds = |duration: Option<std::time::Duration>| duration.map(|duration| duration.as_secs_f64());
    let media = record.media.as_ref();
    let leg = |name: LegName| media.and_then(|media| media.legs.iter().find(|leg| leg.leg == name));
    tracing::info!(
        call_id = %record.call_id,
        user = record.user,
        from = record.from,
        to = record.to,
        ended_by = record.ended_by.as_str(),
        cause = record.cause.name,
        sip_code = record.sip_code,
        setup_s = seconds(record.setup),
        talk_s = seconds(record.talk),
        transcoded = media.map(|media| media.transcoded),
        client = leg(LegName::Client).map(describe),
        carrier = leg(LegName::Carrier).map(describe),
        "call ended"
    );
}

/// `opus/opus rx 500 tx 498 lost 2 (0.4%) discarded 0 jitter 3.1ms rtt 20ms`.
fn describe(leg: &LegQuality) -> String {
    let codec = |codec: Option<offhook_media_control::CodecName>| match codec {
        Some(codec) => format!("{codec:?}").to_lowercase(),
        None => "none".to_owned(),
    };
    let expected = leg.packets_received + leg.packets_lost;
    let loss = if expected == 0 {
        0.0
    } else {
        100.0 * leg.packets_lost as f64 / expected as f64
    };
    let mut text = format!(
        "{}/{} rx {} tx {} lost {} ({loss:.1}%) discarded {} jitter {:.1}ms",
        codec(leg.codec_received),
        codec(leg.codec_sent),
        leg.packets_received,
        leg.packets_sent,
        leg.packets_lost,
        leg.packets_discarded,
        leg.jitter_ms,
    );
    if let Some(round_trip) = leg.round_trip_ms {
        text.push_str(&format!(" rtt {round_trip:.0}ms"));
    }
    text
}

fn allow(limiter: &Mutex<LogLimiter>) -> Option<u64> {
    lock(limiter).allow(Instant::now())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
