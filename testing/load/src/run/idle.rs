//! Sessions that do nothing: what they cost to keep, and what it takes to let all of them in at once.

use super::phone::{Door, Phone, SOON, Socket};
use super::platform::{self, CALLS_KEPT, Platform, Wish, free_tcp};
use super::{LoadError, figures};
use crate::Login;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// Logins under way at once where it is not the logins that are measured.
const AT_ONCE: usize = 64;
/// From the last login to the measurement: buffers of handshakes are given back.
const SETTLE: Duration = Duration::from_secs(10);
/// How long a client of a storm goes on trying, and how long it waits before it tries again.
const STORM_MAX: Duration = Duration::from_secs(600);
const RETRY_WAIT: Duration = Duration::from_secs(2);
/// Start of the small Kamailio of the comparison.
const KAMAILIO_WAIT: Duration = Duration::from_secs(4);
const KAMAILIO_CONFIG: &str = include_str!("../../kamailio-wss.cfg");

/// Numbers lead nowhere.
const NO_CARRIER: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 9));

/// Memory of idle TLS sessions.
pub(crate) async fn idle(
    offhook: &Path,
    sessions: usize,
    login: Login,
    beside_kamailio: bool,
) -> Result<(), LoadError> {
    let wish = Wish {
        users: sessions,
        per_user: 1,
        login,
        tls: true,
        carrier: NO_CARRIER,
        calls_kept: CALLS_KEPT,
    };
    let platform = Platform::start(offhook, &wish).await?;
    let door = Door {
        address: platform.clients,
        tls: platform.connector()?,
        protocol: None,
    };
    let credentials = (0..sessions)
        .map(|user| platform.credentials(user))
        .collect::<Result<Vec<_>, _>>()?;
    let before = figures::memory_kib(platform.pid())?;
    let mut phones = Vec::with_capacity(sessions);
    for chunk in credentials.chunks(AT_ONCE) {
        let mut logins = JoinSet::new();
        for credentials in chunk.iter().cloned() {
            let door = door.clone();
            logins.spawn(async move { Phone::log_in(&door, credentials, false).await });
        }
        while let Some(phone) = logins.join_next().await {
            phones.push(joined(phone)??);
        }
    }
    tokio::time::sleep(SETTLE).await;
    let after = figures::memory_kib(platform.pid())?;
    let held = platform.metric("offhook_vsp_sessions").await?;
    println!(
        "idle peer=offhook sessions={} held={held} before_kib={before} after_kib={after} kib_per_session={:.1} {}",
        phones.len(),
        per(after, before, sessions),
        platform::vital_signs(platform.pid())?
    );
    drop(phones);
    if beside_kamailio {
        kamailio(&platform, sessions).await?;
    }
    platform.stop().await
}

fn per(after: u64, before: u64, count: usize) -> f64 {
    (after as f64 - before as f64) / count as f64
}

/// As many phones registered over Kamailio's websocket and tls modules.
async fn kamailio(platform: &Platform, sessions: usize) -> Result<(), LoadError> {
    let (cert, key) = platform.tls_files();
    let folder = tempfile::tempdir().map_err(LoadError::io("a folder for Kamailio"))?;
    let file = folder.path().join("kamailio.cfg");
    let text = KAMAILIO_CONFIG
        .replace("CERT", &cert.display().to_string())
        .replace("KEY", &key.display().to_string());
    std::fs::write(&file, text).map_err(LoadError::io("kamailio.cfg"))?;
    let address = free_tcp()?;
    let child = Command::new("kamailio")
        .args([
            "-DD", "-E", "-x", "fm", "-n", "2", "-N", "2", "-m", "2048", "-M", "16", "-f",
        ])
        .arg(&file)
        .arg("-l")
        .arg(format!("tls:{address}"))
        .arg("-Y")
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(LoadError::io("kamailio"))?;
    let kamailio = Running(child);
    tokio::time::sleep(KAMAILIO_WAIT).await;
    let pem = std::fs::read(&cert).map_err(LoadError::io("the certificate"))?;
    let certificate = CertificateDer::from_pem_slice(&pem)
        .map_err(|error| LoadError::Unexpected(format!("certificate: {error}")))?;
    let door = Door {
        address,
        tls: Some(platform::connector(&certificate)?),
        protocol: Some("sip"),
    };
    let before = figures::memory_kib(kamailio.0.id())?;
    let mut sockets = Vec::with_capacity(sessions);
    let numbers: Vec<usize> = (0..sessions).collect();
    for chunk in numbers.chunks(AT_ONCE) {
        let mut logins = JoinSet::new();
        for user in chunk.iter().copied() {
            let door = door.clone();
            logins.spawn(async move { register(&door, user).await });
        }
        while let Some(socket) = logins.join_next().await {
            sockets.push(joined(socket)??);
        }
    }
    tokio::time::sleep(SETTLE).await;
    let after = figures::memory_kib(kamailio.0.id())?;
    println!(
        "idle peer=kamailio sessions={} before_kib={before} after_kib={after} kib_per_session={:.1}",
        sockets.len(),
        per(after, before, sessions)
    );
    Ok(())
}

/// A phone that is registered over a WebSocket, as SIP is spoken there (RFC 7118).
async fn register(door: &Door, user: usize) -> Result<Socket, LoadError> {
    let mut socket = door.open("").await?;
    let text = format!(
        "REGISTER sip:localhost SIP/2.0\r\nVia: SIP/2.0/WSS u{user}.invalid;branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
         From: <sip:u{user}@localhost>;tag=t{user}\r\nTo: <sip:u{user}@localhost>\r\nCall-ID: c{user}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:u{user}@u{user}.invalid;transport=ws>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send(Message::text(text)).await?;
    let answer = tokio::time::timeout(SOON, socket.next()).await;
    match answer {
        Ok(Some(Ok(message)))
            if message
                .to_text()
                .is_ok_and(|text| text.starts_with("SIP/2.0 200")) =>
        {
            Ok(socket)
        }
        other => Err(LoadError::Unexpected(format!("answer to REGISTER: {other:?}"))),
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its children too.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Everybody logs in at once.
pub(crate) async fn storm(
    offhook: &Path,
    sessions: usize,
    login: Login,
    per_user: usize,
) -> Result<(), LoadError> {
    let wish = Wish {
        users: sessions.div_ceil(per_user),
        per_user,
        login,
        tls: true,
        carrier: NO_CARRIER,
        calls_kept: CALLS_KEPT,
    };
    let starting = Instant::now();
    let platform = Platform::start(offhook, &wish).await?;
    println!("storm ready_after_s={:.1}", starting.elapsed().as_secs_f64());
    let door = Door {
        address: platform.clients,
        tls: platform.connector()?,
        protocol: None,
    };
    let gate = Arc::new(Semaphore::new(0));
    let mut clients = JoinSet::new();
    for client in 0..sessions {
        let credentials = platform.credentials(client / per_user)?;
        clients.spawn(client_of_storm(door.clone(), credentials, gate.clone()));
    }
    let cpu_before = figures::cpu_time(platform.pid());
    let start = Instant::now();
    gate.add_permits(sessions);
    let (mut phones, mut times, mut refusals) = (Vec::new(), Vec::new(), 0);
    let mut failures = Vec::new();
    while let Some(result) = clients.join_next().await {
        match joined(result)? {
            Ok((phone, refused)) => {
                times.push(start.elapsed());
                refusals += refused;
                phones.push(phone);
            }
            Err(error) => failures.push(error),
        }
    }
    println!(
        "storm sessions={} failed={} told_to_retry={refusals} all_in_s={:.1} {} server_cpu_s={:.1}",
        phones.len(),
        failures.len(),
        start.elapsed().as_secs_f64(),
        figures::summary(times),
        (figures::cpu_time(platform.pid()) - cpu_before).as_secs_f64()
    );
    println!("storm {}", platform::vital_signs(platform.pid())?);
    drop(phones);
    if let Some(first) = failures.into_iter().next() {
        return Err(first);
    }
    platform.stop().await
}

/// Tries until it is in, as the SDK does; gives how often it was told to come back later.
async fn client_of_storm(
    door: Door,
    credentials: serde_json::Value,
    gate: Arc<Semaphore>,
) -> Result<(Phone, usize), LoadError> {
    // The gate opens once and for all.
    let _open = gate.acquire().await;
    let start = Instant::now();
    let mut refused = 0;
    loop {
        match Phone::log_in(&door, credentials.clone(), false).await {
            Ok(phone) => return Ok((phone, refused)),
            Err(LoadError::Unexpected(why)) if why.contains("later") && start.elapsed() < STORM_MAX => {
                refused += 1;
                tokio::time::sleep(RETRY_WAIT).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, LoadError> {
    result.map_err(|error| LoadError::Unexpected(format!("a client broke: {error}")))
}
