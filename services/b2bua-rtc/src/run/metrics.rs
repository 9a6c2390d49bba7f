//! What the gateway counts, as Prometheus reads it: summed over the workers at each scrape, so that the media path
//! writes plain numbers only.

use crate::media::Figures;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use tokio::sync::watch;

/// Reads the workers' figures.
#[derive(Debug)]
pub(crate) struct GatewayMetrics {
    pub(crate) workers: Vec<watch::Receiver<Figures>>,
}

/// Name, help and value of a metric.
type Metric = (&'static str, &'static str, Reading);
type Reading = fn(&Figures) -> u64;

const GAUGES: [Metric; 2] = [
    ("media_sessions", "Media sessions open now", |f| f.sessions),
    ("media_rtp_ports_in_use", "Pairs of RTP ports in use now", |f| {
        f.ports_in_use
    }),
];

const COUNTERS: [Metric; 9] = [
    (
        "media_webrtc_datagrams_in",
        "Datagrams that came to the WebRTC port",
        |f| f.webrtc_in,
    ),
    (
        "media_rtp_datagrams_in",
        "Datagrams that came to RTP ports",
        |f| f.rtp_in,
    ),
    ("media_datagrams_out", "Datagrams sent", |f| f.out),
    (
        "media_datagrams_unsent",
        "Datagrams that could not be sent",
        |f| f.out_lost,
    ),
    (
        "media_datagrams_unknown",
        "Datagrams to the WebRTC port of no session",
        |f| f.unknown,
    ),
    (
        "media_datagrams_handed_over",
        "Datagrams that another worker had to take",
        |f| f.handed_over,
    ),
    (
        "media_transcoded_frames",
        "Frames decoded and encoded, of ended sessions",
        |f| f.transcoded_frames,
    ),
    ("media_worker_turns", "Batches that the workers have taken", |f| {
        f.turns
    }),
    (
        "media_events_lost",
        "Events lost because signalling was behind",
        |f| f.events_lost,
    ),
];

const DROPS: [(&str, Reading); 9] = [
    ("stranger", |f| f.drops.stranger),
    ("malformed", |f| f.drops.malformed),
    ("bad-stun", |f| f.drops.bad_stun),
    ("bad-tag", |f| f.drops.bad_tag),
    ("replayed", |f| f.drops.replayed),
    ("not-ready", |f| f.drops.not_ready),
    ("unknown-payload", |f| f.drops.unknown_payload),
    ("no-receiver", |f| f.drops.no_receiver),
    ("other-source", |f| f.drops.other_source),
];

impl Collector for GatewayMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all: Vec<Figures> = self.workers.iter().map(|worker| *worker.borrow()).collect();
        let sum = |of: Reading| all.iter().map(of).sum::<u64>();
        for (name, help, of) in GAUGES {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(sum(of) as i64).encode(metric)?;
        }
        for (name, help, of) in COUNTERS {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(sum(of)).encode(metric)?;
        }
        let mut family = encoder.encode_descriptor(
            "media_datagrams_dropped",
            "Datagrams of ended sessions that were dropped, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, of) in DROPS {
            ConstCounter::new(sum(of)).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}
