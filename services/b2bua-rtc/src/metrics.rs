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

impl Collector for GatewayMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all: Vec<Figures> = self.workers.iter().map(|worker| *worker.borrow()).collect();
        let sum = |of: fn(&Figures) -> u64| all.iter().map(of).sum::<u64>();
        for (name, help, value) in [
            ("media_sessions", "Media sessions open now", sum(|f| f.sessions)),
            (
                "media_rtp_ports_in_use",
                "Pairs of RTP ports in use now",
                sum(|f| f.ports_in_use),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value as i64).encode(metric)?;
        }
        for (name, help, value) in [
            (
                "media_webrtc_datagrams_in",
                "Datagrams that came to the WebRTC port",
                sum(|f| f.webrtc_in),
            ),
            (
                "media_rtp_datagrams_in",
                "Datagrams that came to RTP ports",
                sum(|f| f.rtp_in),
            ),
            ("media_datagrams_out", "Datagrams sent", sum(|f| f.out)),
            (
                "media_datagrams_unsent",
                "Datagrams that could not be sent",
                sum(|f| f.out_lost),
            ),
            (
                "media_datagrams_unknown",
                "Datagrams to the WebRTC port of no session",
                sum(|f| f.unknown),
            ),
            (
                "media_datagrams_handed_over",
                "Datagrams that another worker had to take",
                sum(|f| f.handed_over),
            ),
            (
                "media_transcoded_frames",
                "Frames decoded and encoded, of ended sessions",
                sum(|f| f.transcoded_frames),
            ),
            (
                "media_worker_turns",
                "Batches that the workers have taken",
                sum(|f| f.turns),
            ),
            (
                "media_events_lost",
                "Events lost because signalling was behind",
                sum(|f| f.events_lost),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        let mut family = encoder.encode_descriptor(
            "media_datagrams_dropped",
            "Datagrams of ended sessions that were dropped, by reason",
            None,
            MetricType::Counter,
        )?;
        for (reason, value) in [
            ("stranger", sum(|f| f.drops.stranger)),
            ("malformed", sum(|f| f.drops.malformed)),
            ("bad-stun", sum(|f| f.drops.bad_stun)),
            ("bad-tag", sum(|f| f.drops.bad_tag)),
            ("replayed", sum(|f| f.drops.replayed)),
            ("not-ready", sum(|f| f.drops.not_ready)),
            ("unknown-payload", sum(|f| f.drops.unknown_payload)),
            ("no-receiver", sum(|f| f.drops.no_receiver)),
        ] {
            ConstCounter::new(value).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}
