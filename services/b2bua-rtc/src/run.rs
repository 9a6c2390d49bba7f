//! Starts the gateway: binds, spawns the workers, serves the control links, leaves.

mod metrics;
mod stun;

use crate::config::{Config, Preference};
use crate::control::{Links, LocalLink, Router, RouterConfig, serve_json_rpc, serve_ng};
use crate::media::{
    SharedAddress, WorkerConfig, WorkerEvent, WorkerHandle, bind_shared, local_addresses, spawn,
};
use crate::params::{AudioParams, LatchingParams, SessionParams, Timeouts, WallClock};
use crate::tones::Tones;
use metrics::GatewayMetrics;
use offhook_offer_answer::Prefer;
use offhook_process::{Context, Problem, RoleState, Severity, Shutdown};
use offhook_webrtc::{Certificate, LegConfig};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Events of all workers that wait for the router.
const WORKER_EVENTS_MAX: usize = 8192;
/// Name of the role in readiness.
pub const ROLE: &str = "b2bua-rtc";

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has errors.
    #[error("b2bua_rtc: {}", join(.0))]
    Config(Vec<Problem>),
    /// A socket could not be bound.
    #[error("b2bua_rtc.{key} = {address}: cannot be bound: {source}; is another program there?")]
    Bind {
        /// Key of the configuration.
        key: &'static str,
        /// What was tried.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Something of the system failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// No DTLS certificate.
    #[error(transparent)]
    Certificate(#[from] offhook_webrtc::CertificateError),
    /// libopus refused.
    #[error(transparent)]
    Audio(#[from] offhook_audio::AudioError),
    /// A sound cannot be played.
    #[error("b2bua_rtc.sounds: {0}")]
    Sound(#[from] crate::config::SoundError),
}

/// Runs the gateway until it was drained or stopped. `link` is the control link within this process.
///
/// Bound addresses are told to the readiness of the role [`ROLE`]: `webrtc` (once per local address), `control`, `ng`,
/// `stun`.
///
/// # Errors
/// Why it could not start.
pub async fn run(
    config: Config,
    context: Context,
    shutdown: Shutdown,
    link: Option<LocalLink>,
) -> Result<(), Error> {
    refuse_errors(&config)?;
    let readiness = context.readiness.register(ROLE);
    let control = match config.control.listen {
        Some(address) => Some(bind("control.listen", address, TcpListener::bind(address).await)?),
        None => None,
    };
    let ng = match config.ng {
        Some(address) => Some(bind("ng", address, UdpSocket::bind(address).await)?),
        None => None,
    };
    let stun = match config.stun {
        Some(address) => Some(bind("stun", address, UdpSocket::bind(address).await)?),
        None => None,
    };
    let (events_sender, events) = mpsc::channel(WORKER_EVENTS_MAX);
    let (workers, webrtc) = start_workers(&config, events_sender)?;
    let mut addresses: Vec<_> = webrtc.into_iter().map(|address| ("webrtc", address)).collect();
    let others = [
        ("control", control.as_ref().map(TcpListener::local_addr)),
        ("ng", ng.as_ref().map(UdpSocket::local_addr)),
        ("stun", stun.as_ref().map(UdpSocket::local_addr)),
    ];
    addresses.extend(
        others
            .into_iter()
            .filter_map(|(name, bound)| Some((name, bound?.ok()?))),
    );
    let figures = workers.iter().map(|worker| worker.figures.clone()).collect();
    context.register(|registry| registry.register_collector(Box::new(GatewayMetrics { workers: figures })));
    tracing::info!(
        workers = workers.len(),
        io = workers.first().map_or("", |worker| worker.io_name),
        ?addresses,
        rtp_ports = %config.rtp_ports,
        "media gateway up"
    );

    let (router, entrances) = Router::new(RouterConfig {
        workers,
        events,
        grace: Duration::from_secs(config.control.grace_s),
        context: context.clone(),
        shutdown: shutdown.clone(),
        local: link,
    });
    let mut front_ends = start_front_ends(entrances, control, ng, &shutdown);
    if let Some(socket) = stun {
        front_ends.spawn(stun::serve(socket));
    }
    readiness.ready(addresses);
    let mut draining = shutdown.clone();
    let router = router.run();
    tokio::pin!(router);
    tokio::select! {
        () = &mut router => {}
        _ = draining.draining() => {
            readiness.set(RoleState::Draining);
            router.await;
        }
    }
    front_ends.shutdown().await;
    tracing::info!("media gateway stopped");
    Ok(())
}

fn refuse_errors(config: &Config) -> Result<(), Error> {
    let mut problems = config.check();
    problems.retain(|problem| problem.severity == Severity::Error);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Config(problems))
    }
}

/// Starts what signalling talks to; the tasks end when they are dropped.
fn start_front_ends(
    entrances: Links,
    control: Option<TcpListener>,
    ng: Option<UdpSocket>,
    shutdown: &Shutdown,
) -> JoinSet<()> {
    let mut front_ends = JoinSet::new();
    if let Some(listener) = control {
        let (entrances, shutdown) = (entrances.clone(), shutdown.clone());
        front_ends.spawn(async move {
            if let Err(error) = serve_json_rpc(listener, entrances, shutdown).await {
                tracing::error!(%error, "the control listener has failed");
            }
        });
    }
    if let Some(socket) = ng {
        front_ends.spawn(serve_ng(socket, entrances));
    }
    front_ends
}

fn bind<T>(key: &'static str, address: SocketAddr, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Bind { key, address, source })
}

/// Binds the WebRTC port for every worker and starts them. Gives the workers and the local addresses.
/// `events` stays open as long as one of them runs.
fn start_workers(
    config: &Config,
    events: mpsc::Sender<WorkerEvent>,
) -> Result<(Vec<WorkerHandle>, Vec<SocketAddr>), Error> {
    let count = config.worker_count();
    let mut shared = Vec::with_capacity(count);
    shared.push(bind_all(config.webrtc, &listen_addresses(config)?)?);
    let locals: Vec<SocketAddr> = shared[0].iter().map(|address| address.local).collect();
    for _ in 1..count {
        let sockets = locals
            .iter()
            .map(|local| bind("webrtc", *local, bind_shared(*local)));
        shared.push(sockets.collect::<Result<Vec<_>, _>>()?);
    }
    let params = session_params(config, &locals)?;
    let mut rng = rand::rng();
    let mut ports: Vec<u16> = even_ports(config).collect();
    // Ports that cannot be guessed are harder to send strange packets to.
    ports.shuffle(&mut rng);
    let mut workers = Vec::with_capacity(count);
    let mut starters = Vec::with_capacity(count);
    for (index, shared) in shared.into_iter().enumerate() {
        let (starter, peers) = oneshot::channel();
        let worker = WorkerConfig {
            index,
            io: config.io,
            wake_interval: config.wake_interval(),
            sessions_max: config.sessions_max.div_ceil(count),
            shared,
            params: params.clone(),
            rtp_address: config.rtp_address,
            ports: ports.iter().skip(index).step_by(count).copied().collect(),
            seed: rng.random(),
        };
        let handle = spawn(worker, events.clone(), peers).map_err(|source| Error::System {
            what: "a media worker could not be started",
            source,
        })?;
        workers.push(handle);
        starters.push(starter);
    }
    let peers: Vec<_> = workers.iter().map(WorkerHandle::peer).collect();
    for starter in starters {
        // A worker waits for this before anything else; it cannot have gone.
        let _ = starter.send(peers.clone());
    }
    Ok((workers, locals))
}

fn listen_addresses(config: &Config) -> Result<Vec<SocketAddr>, Error> {
    let address = config.webrtc;
    if !address.ip().is_unspecified() {
        return Ok(vec![address]);
    }
    let mut all = local_addresses().map_err(|source| Error::System {
        what: "the addresses of this machine cannot be listed",
        source,
    })?;
    // `::` stands for both families, as everywhere.
    all.retain(|ip| ip.is_ipv4() || address.is_ipv6());
    // Browsers on this machine come last: others cannot use the loopback address.
    all.sort_by_key(|ip| ip.is_loopback());
    Ok(all
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port()))
        .collect())
}

/// Binds one port on every address; with port 0 the system chooses it for the first one.
fn bind_all(wanted: SocketAddr, addresses: &[SocketAddr]) -> Result<Vec<SharedAddress>, Error> {
    let mut port = wanted.port();
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port);
        let socket = bind("webrtc", address, bind_shared(address))?;
        port = socket.local.port();
        sockets.push(socket);
    }
    Ok(sockets)
}

fn session_params(config: &Config, locals: &[SocketAddr]) -> Result<SessionParams, Error> {
    let mut webrtc = LegConfig::new(Certificate::generate()?);
    webrtc.ice_timeout = Duration::from_secs(config.timeouts.ice_s);
    let public = &config.public_address.0;
    let candidates = match public.is_empty() {
        true => locals.to_vec(),
        false => {
            let port = locals.first().map_or(config.webrtc.port(), SocketAddr::port);
            public.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
        }
    };
    let seconds = Duration::from_secs;
    let timeouts = &config.timeouts;
    Ok(SessionParams {
        webrtc,
        candidates,
        webrtc_sockets: Vec::new(),
        rtp_address: public
            .iter()
            .find(|ip| ip.is_ipv4() == config.rtp_address.is_ipv4())
            .copied()
            .unwrap_or(config.rtp_address),
        prefer: match config.prefer {
            Preference::Relay => Prefer::Relay,
            Preference::Opus => Prefer::Opus,
        },
        latching: LatchingParams {
            latching: config.latching,
            port_changes: config.latch_port_changes,
        },
        audio: AudioParams {
            opus_complexity: config.opus.complexity,
            opus_bitrate_bps: config.opus.bitrate,
            jitter_min: Duration::from_millis(config.jitter.min_ms.into()),
            jitter_max: Duration::from_millis(config.jitter.max_ms.into()),
        },
        timeouts: Timeouts {
            media_stopped: seconds(timeouts.media_stopped_s),
            media: seconds(timeouts.media_s),
            quality: (timeouts.quality_s > 0).then(|| seconds(timeouts.quality_s)),
            rtcp: seconds(timeouts.rtcp_s),
        },
        clock: WallClock {
            at: Instant::now(),
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        },
        tones: Arc::new(Tones::new(&config.sounds.load()?)?),
    })
}

fn even_ports(config: &Config) -> impl Iterator<Item = u16> + use<> {
    let (first, last) = (
        u32::from(config.rtp_ports.first),
        u32::from(config.rtp_ports.last),
    );
    (first.next_multiple_of(2)..last)
        .step_by(2)
        .map(|port| port as u16)
}

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
