//! Lines that make and take calls of all kinds for hours, and what is left when they are done.

use super::carrier::Carrier;
use super::leg::{Leg, Voice};
use super::phone::Phone;
use super::platform::{Platform, number_of};
use super::setup::{platform, until};
use super::{LoadError, figures};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long calls ring.
const RING: Duration = Duration::from_millis(300);
/// Memory is read after this share of the time first: caches and pools have filled by then.
const WARM_SHARE: f64 = 0.1;
/// From the last call to the last reading: longer than the last timer of a SIP transaction (64 × T1).
const AFTERMATH: Duration = Duration::from_secs(45);
/// How often memory is read on the way.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// Calls of which traces are kept: so few that their memory is at its bound long before it is first read.
const CALLS_KEPT: usize = 100;
/// Digits that are sent.
const DIGITS: &str = "159#";
/// Gauges that have to be zero in the end.
const GAUGES: [&str; 8] = [
    "offhook_vsp_calls",
    "offhook_vsp_sip_legs",
    "offhook_vsp_commands_pending",
    "offhook_sip_proxy_active_calls",
    "offhook_sip_proxy_requests",
    "offhook_sip_proxy_transactions",
    "offhook_media_sessions",
    "offhook_media_rtp_ports_in_use",
];

/// What the lines have done.
#[derive(Default)]
struct Tally {
    out: AtomicU64,
    in_: AtomicU64,
    held: AtomicU64,
    digits: AtomicU64,
    reconnects: AtomicU64,
    cancelled: AtomicU64,
    audio: AtomicU64,
}

/// A user at a phone.
struct Line {
    user: usize,
    phone: Phone,
    carrier: Arc<Carrier>,
    proxy: std::net::SocketAddr,
    tally: Arc<Tally>,
    rng: StdRng,
    calls: u64,
}

/// Runs `lines` lines for so long.
pub(crate) async fn mixed(offhook: &Path, lines: usize, time: Duration) -> Result<(), LoadError> {
    let carrier = Arc::new(Carrier::start(RING).await?);
    let (platform, door) = platform(offhook, &carrier, lines, CALLS_KEPT).await?;
    let tally = Arc::new(Tally::default());
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for user in 0..lines {
        let line = Line {
            user,
            phone: Phone::log_in(&door, platform.credentials(user)?, user % 2 == 0).await?,
            carrier: carrier.clone(),
            proxy: platform.proxy,
            tally: tally.clone(),
            rng: StdRng::seed_from_u64(user as u64),
            calls: 0,
        };
        running.spawn(line.run(end));
    }
    let memory = watch(&platform, &mut running, &tally, time).await?;
    let mut phones = Vec::new();
    while let Some(line) = running.join_next().await {
        phones.push(joined(line)??.phone);
    }
    // Clients stay: their sessions are part of what was there before, too.
    let after = settle(&platform, &mut phones).await?;
    println!(
        "mixed calls_out={} calls_in={} held={} digits={} reconnects={} cancelled={} audio_packets={}",
        tally.out.load(Ordering::Relaxed),
        tally.in_.load(Ordering::Relaxed),
        tally.held.load(Ordering::Relaxed),
        tally.digits.load(Ordering::Relaxed),
        tally.reconnects.load(Ordering::Relaxed),
        tally.cancelled.load(Ordering::Relaxed),
        tally.audio.load(Ordering::Relaxed),
    );
    println!(
        "mixed warm_kib={memory} after_kib={after} machine_load={}",
        figures::machine_load()
    );
    let errors = platform.log_lines("ERROR");
    for line in &errors {
        println!("mixed log {line}");
    }
    left_over(&platform).await?;
    platform.stop().await?;
    match errors.len() {
        0 => Ok(()),
        count => Err(LoadError::Unexpected(format!("{count} ERROR lines in the log"))),
    }
}

/// Reports while the lines run; fails as soon as one of them does. Gives the memory once warm.
async fn watch(
    platform: &Platform,
    running: &mut JoinSet<Result<Line, LoadError>>,
    tally: &Tally,
    time: Duration,
) -> Result<u64, LoadError> {
    let start = Instant::now();
    let mut warm = 0;
    let mut reports = tokio::time::interval(REPORT_INTERVAL.min(time / 10));
    while start.elapsed() < time {
        reports.tick().await;
        let kib = figures::memory_kib(platform.pid())?;
        if warm == 0 && start.elapsed() >= time.mul_f64(WARM_SHARE) {
            warm = kib;
        }
        println!(
            "mixed at_s={} memory_kib={kib} vsp_calls={} calls_so_far={} machine_load={}",
            start.elapsed().as_secs(),
            platform.metric("offhook_vsp_calls").await?,
            tally.out.load(Ordering::Relaxed) + tally.in_.load(Ordering::Relaxed),
            figures::machine_load()
        );
        if let Some(ended) = running.try_join_next() {
            let line = joined(ended)??;
            if start.elapsed() < time {
                return Err(LoadError::Unexpected(format!(
                    "line {} has ended early",
                    line.user
                )));
            }
        }
    }
    Ok(warm)
}

/// Lets the last timers run out while the phones stay logged in, and gives the memory then.
async fn settle(platform: &Platform, phones: &mut [Phone]) -> Result<u64, LoadError> {
    let end = Instant::now() + AFTERMATH;
    while Instant::now() < end {
        for phone in phones.iter_mut() {
            phone.idle(Duration::from_millis(50)).await?;
            phone.forget();
        }
    }
    figures::memory_kib(platform.pid())
}

async fn left_over(platform: &Platform) -> Result<(), LoadError> {
    let mut left = Vec::new();
    for gauge in GAUGES {
        let value = platform.metric(gauge).await?;
        if value != 0.0 {
            left.push(format!("{gauge}={value}"));
        }
    }
    println!("mixed left_over=[{}]", left.join(" "));
    match left.is_empty() {
        true => Ok(()),
        false => Err(LoadError::Unexpected(format!("left over: {}", left.join(", ")))),
    }
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, LoadError> {
    result.map_err(|error| LoadError::Unexpected(format!("a line broke: {error}")))
}

impl Line {
    async fn run(mut self, end: Instant) -> Result<Self, LoadError> {
        while Instant::now() < end {
            self.calls += 1;
            let call = format!(
                "{}{:03}{:05}",
                self.rng.random_range(1..=9),
                self.user,
                self.calls
            );
            let placed = match self.rng.random_range(0..10) {
                0 => self.cancelled(&call).await,
                1..=6 => self.outbound(&call).await,
                _ => self.inbound(&call).await,
            };
            placed.map_err(|error| {
                LoadError::Unexpected(format!("line {}, call {call}: {error}", self.user))
            })?;
            self.carrier.forget(&call);
            self.phone.forget();
            let pause = Duration::from_millis(self.rng.random_range(0..2_000));
            self.phone.idle(pause).await?;
        }
        Ok(self)
    }

    fn voice(&mut self) -> Voice {
        match self.rng.random_bool(0.5) {
            true => Voice::Opus,
            false => Voice::Pcmu,
        }
    }

    /// The caller gives up while it rings.
    async fn cancelled(&mut self, number: &str) -> Result<(), LoadError> {
        let leg = Leg::new(Voice::Pcmu).await?;
        self.phone.dial(number, number, &leg.offer()).await?;
        self.phone.expect("ringing").await?;
        self.phone
            .ask_about(number, "bye", json!({"cause": "USER_BUSY", "causeCode": 17}))
            .await?;
        let carrier = self.carrier.clone();
        until("the end at the carrier", || carrier.facts(number).over).await?;
        self.tally.cancelled.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn outbound(&mut self, number: &str) -> Result<(), LoadError> {
        let voice = self.voice();
        let leg = Leg::new(voice).await?;
        self.phone.dial(number, number, &leg.offer()).await?;
        if self.user.is_multiple_of(2) {
            let media = self.phone.expect("media").await?;
            leg.take(media["sdp"].as_str().unwrap_or_default()).await?;
        }
        let answer = self.phone.expect("answer").await?;
        if let Some(sdp) = answer["sdp"].as_str().filter(|_| self.user % 2 == 1) {
            leg.take(sdp).await?;
        }
        self.tally.out.fetch_add(1, Ordering::Relaxed);
        self.talk(number, number, &leg).await
    }

    async fn inbound(&mut self, number: &str) -> Result<(), LoadError> {
        let voice = self.voice();
        self.carrier
            .call(number, &number_of(self.user), self.proxy)
            .await?;
        let invite = self.phone.expect("invite").await?;
        let call = invite["callID"].as_str().unwrap_or_default().to_owned();
        let leg = Leg::new(voice).await?;
        let answer = leg.answer(invite["sdp"].as_str().unwrap_or_default()).await?;
        self.phone
            .ask_about(&call, "answer", json!({"sdp": answer}))
            .await?;
        self.tally.in_.fetch_add(1, Ordering::Relaxed);
        self.talk(&call, number, &leg).await
    }

    /// What happens in a call that is up, until one side ends it.
    async fn talk(&mut self, call: &str, number: &str, leg: &Leg) -> Result<(), LoadError> {
        self.hears_both(number, leg).await?;
        for _ in 0..self.rng.random_range(1..=4) {
            match self.rng.random_range(0..4) {
                0 => self.hold(call, number).await?,
                1 => self.digits(call, number).await?,
                2 => self.reconnect(call).await?,
                _ => {
                    let while_ = Duration::from_millis(self.rng.random_range(500..5_000));
                    self.phone.idle(while_).await?;
                }
            }
        }
        self.hears_both(number, leg).await?;
        self.tally.audio.fetch_add(leg.heard.packets(), Ordering::Relaxed);
        if self.rng.random_bool(0.5) {
            let hung_up = json!({"cause": "NORMAL_CLEARING", "causeCode": 16});
            self.phone.ask_about(call, "bye", hung_up).await?;
            let carrier = self.carrier.clone();
            until("the BYE at the carrier", || carrier.facts(number).over).await
        } else {
            self.carrier.hang_up(number).await?;
            let bye = self.phone.expect("bye").await?;
            match bye["cause"].as_str() {
                Some("NORMAL_CLEARING") => Ok(()),
                _ => Err(LoadError::Unexpected(format!("cause of a normal end: {bye}"))),
            }
        }
    }

    /// Waits for ten more packets at either end.
    async fn hears_both(&self, number: &str, leg: &Leg) -> Result<(), LoadError> {
        let (here, there) = (leg.heard.packets(), self.carrier.facts(number).packets);
        until("audio at the browser", || leg.heard.packets() > here + 10).await?;
        until("audio at the carrier", || {
            self.carrier.facts(number).packets > there + 10
        })
        .await
    }

    async fn hold(&mut self, call: &str, number: &str) -> Result<(), LoadError> {
        let before = self.carrier.facts(number).offers;
        for (action, state) in [("hold", "held"), ("unhold", "active")] {
            let done = self
                .phone
                .ask_about(call, "modify", json!({"action": action}))
                .await?;
            if done["holdState"] != state {
                return Err(LoadError::Unexpected(format!("{action}: {done}")));
            }
            self.phone.idle(Duration::from_millis(300)).await?;
        }
        if self.carrier.facts(number).offers < before + 2 {
            return Err(LoadError::Unexpected("the carrier saw no hold".to_owned()));
        }
        self.tally.held.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn digits(&mut self, call: &str, number: &str) -> Result<(), LoadError> {
        let before = self.carrier.facts(number).events;
        self.phone
            .ask_about(call, "info", json!({"dtmf": DIGITS}))
            .await?;
        let carrier = self.carrier.clone();
        until("digits at the carrier", || carrier.facts(number).events > before).await?;
        self.tally.digits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn reconnect(&mut self, call: &str) -> Result<(), LoadError> {
        let kept = self.phone.reconnect().await?;
        if !kept.iter().any(|kept| kept == call) {
            return Err(LoadError::Unexpected(format!("after reconnecting: {kept:?}")));
        }
        self.tally.reconnects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
