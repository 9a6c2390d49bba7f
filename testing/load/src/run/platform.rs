//! Offhook as a child process: its configuration, its ports, what it says of itself.

use super::{LoadError, figures};
use crate::Login;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long it may take to be ready, and to leave.
const START_WAIT: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Calls of which a fresh installation keeps traces.
pub(crate) const CALLS_KEPT: usize = 1_000;
/// Password of all users.
const PASSWORD: &str = "a password of the load test";
/// How long tokens are valid.
const TOKEN_LIFETIME_S: u64 = 24 * 3_600;

/// What the platform is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Users `u0`, `u1`, … with the numbers +15551000000, +15551000001, …
    pub(crate) users: usize,
    /// Clients of one user.
    pub(crate) per_user: usize,
    /// How they log in.
    pub(crate) login: Login,
    /// Clients come over TLS.
    pub(crate) tls: bool,
    /// The SIP address that numbers lead to.
    pub(crate) carrier: SocketAddr,
    /// Calls of which traces are kept: few, where memory is watched.
    pub(crate) calls_kept: usize,
}

/// A running Offhook. Dropping it ends it.
pub(crate) struct Platform {
    child: Child,
    /// Where clients connect to.
    pub(crate) clients: SocketAddr,
    /// Where carriers send calls to.
    pub(crate) proxy: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
    login: Login,
    token_key: String,
    certificate: CertificateDer<'static>,
    tls: bool,
}

impl Platform {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(offhook: &Path, wish: &Wish) -> Result<Self, LoadError> {
        let folder = tempfile::tempdir().map_err(LoadError::io("a folder for the configuration"))?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        write(&folder, "cert.pem", &made.cert.pem())?;
        write(&folder, "key.pem", &made.signing_key.serialize_pem())?;
        let token = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        write(&folder, "token.pem", &token.public_key_pem())?;
        let hash = match wish.login {
            Login::Hash => password_hash(offhook)?,
            Login::Token | Login::Password => String::new(),
        };
        let ports = Ports::free()?;
        let config = write(&folder, "offhook.toml", &config(wish, &ports, &folder, &hash))?;
        let log = folder.path().join("offhook.log");
        let log = std::fs::File::create(&log).map_err(LoadError::io("the log"))?;
        let child = Command::new(offhook)
            .args(["--log", "info", "up", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(LoadError::io(format!("starting {}", offhook.display())))?;
        let platform = Self {
            child,
            clients: ports.clients,
            proxy: ports.proxy,
            admin: ports.admin,
            folder,
            login: wish.login,
            token_key: token.serialize_pem(),
            certificate: CertificateDer::from(made.cert.der().to_vec()),
            tls: wish.tls,
        };
        platform.wait_ready().await?;
        Ok(platform)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Parameters of the `login` of a user.
    pub(crate) fn credentials(&self, user: usize) -> Result<serde_json::Value, LoadError> {
        if self.login != Login::Token {
            return Ok(json!({"login": format!("u{user}"), "passwd": PASSWORD}));
        }
        let key = EncodingKey::from_ed_pem(self.token_key.as_bytes())
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let claims = json!({"sub": format!("u{user}"), "exp": now_s + TOKEN_LIFETIME_S});
        let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key)
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        Ok(json!({"login_token": token}))
    }

    /// For clients that come over TLS.
    pub(crate) fn connector(&self) -> Result<Option<TlsConnector>, LoadError> {
        self.tls.then(|| connector(&self.certificate)).transpose()
    }

    /// Certificate and key, for another server beside.
    pub(crate) fn tls_files(&self) -> (PathBuf, PathBuf) {
        let file = |name| self.folder.path().join(name);
        (file("cert.pem"), file("key.pem"))
    }

    /// Sums of its metrics by name, labels left out.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, LoadError> {
        let text = http_get(self.admin, "/metrics").await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with(' ') || rest.starts_with('{')).then_some(())?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// Lines of its log at this level.
    pub(crate) fn log_lines(&self, level: &str) -> Vec<String> {
        let text = std::fs::read(self.folder.path().join("offhook.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .filter(|line| line.split_whitespace().any(|word| word.contains(level)))
            .map(str::to_owned)
            .collect()
    }

    /// Asks it to leave and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), LoadError> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status();
        told.map_err(LoadError::io("kill"))?;
        let started = tokio::time::Instant::now();
        while started.elapsed() < START_WAIT {
            if let Ok(Some(status)) = self.child.try_wait() {
                return match status.success() {
                    true => Ok(()),
                    false => Err(LoadError::Unexpected(format!("offhook ended with {status}"))),
                };
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Err(LoadError::Missing {
            what: "the end of offhook".to_owned(),
            wait: START_WAIT,
        })
    }

    async fn wait_ready(&self) -> Result<(), LoadError> {
        let started = tokio::time::Instant::now();
        while started.elapsed() < START_WAIT {
            if let Ok(answer) = http_get(self.admin, "/readyz").await
                && answer.starts_with("HTTP/1.1 200")
            {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("offhook.log")).unwrap_or_default();
        Err(LoadError::Unexpected(format!(
            "offhook is not ready; it says:\n{log}"
        )))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TLS client that believes this one certificate.
pub(crate) fn connector(certificate: &CertificateDer<'static>) -> Result<TlsConnector, LoadError> {
    let unexpected = |error: rustls::Error| LoadError::Unexpected(error.to_string());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).map_err(unexpected)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unexpected)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A free TCP port on loopback.
pub(crate) fn free_tcp() -> Result<SocketAddr, LoadError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(LoadError::io("a free TCP port"))
}

struct Ports {
    clients: SocketAddr,
    admin: SocketAddr,
    vsp: SocketAddr,
    proxy: SocketAddr,
    webrtc: SocketAddr,
}

impl Ports {
    fn free() -> Result<Self, LoadError> {
        let udp = || {
            let bound = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
            bound.map_err(LoadError::io("a free UDP port"))
        };
        Ok(Self {
            clients: free_tcp()?,
            admin: free_tcp()?,
            vsp: udp()?,
            proxy: udp()?,
            webrtc: udp()?,
        })
    }
}

fn config(wish: &Wish, ports: &Ports, folder: &TempDir, hash: &str) -> String {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls = match wish.tls {
        true => format!(
            "tls = {{ cert = {:?}, key = {:?} }}\n",
            file("cert.pem"),
            file("key.pem")
        ),
        false => String::new(),
    };
    let sessions = wish.users * wish.per_user;
    let (clients, vsp, proxy, admin) = (ports.clients, ports.vsp, ports.proxy, ports.admin);
    let mut text = format!(
        "[admin]\nlisten = \"{admin}\"\n[traces]\ncalls_kept = {kept}\n\
         [vsp]\nlisten = \"{clients}\"\nsip = \"{vsp}\"\nsip_proxy = \"{proxy}\"\n{tls}\
         [vsp.limits]\nconnections_max = {most}\nconnections_per_address_max = {most}\nsessions_max = {sessions_max}\n\
         sessions_per_user_max = {per_user}\n\
         [[auth.jwt]]\nalg = \"EdDSA\"\npublic_key_file = {token:?}\n\
         [sip_proxy]\nudp = \"{proxy}\"\nvsp = [\"{vsp}\"]\n\
         [[carrier]]\nname = \"load\"\nuri = \"sip:{carrier}\"\n[[route]]\nprefix = \"\"\ncarriers = [\"load\"]\n\
         [b2bua_rtc]\nwebrtc = \"{webrtc}\"\nrtp_ports = \"20000-29999\"\nrtp_address = \"127.0.0.1\"\n",
        kept = wish.calls_kept,
        most = sessions + 1_000,
        sessions_max = sessions.max(10_000),
        per_user = wish.per_user.max(100),
        token = file("token.pem"),
        carrier = wish.carrier,
        webrtc = ports.webrtc,
    );
    for user in 0..wish.users {
        let secret = match wish.login {
            Login::Token => String::new(),
            Login::Password => format!("password = {PASSWORD:?}\n"),
            Login::Hash => format!("password_hash = {hash:?}\n"),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[user]]\nname = \"u{user}\"\n{secret}numbers = [\"{}\"]\n",
            number_of(user)
        );
    }
    text
}

/// Number of a user.
pub(crate) fn number_of(user: usize) -> String {
    format!("+1555{:07}", 1_000_000 + user)
}

fn password_hash(offhook: &Path) -> Result<String, LoadError> {
    let mut child = Command::new(offhook)
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(LoadError::io("offhook hash-password"))?;
    if let Some(mut input) = child.stdin.take() {
        use std::io::Write;
        writeln!(input, "{PASSWORD}").map_err(LoadError::io("the password"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(LoadError::io("offhook hash-password"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn write(folder: &TempDir, name: &str, text: &str) -> Result<PathBuf, LoadError> {
    let path = folder.path().join(name);
    std::fs::write(&path, text).map_err(LoadError::io(name))?;
    Ok(path)
}

async fn http_get(address: SocketAddr, path: &str) -> Result<String, LoadError> {
    let what = || format!("http://{address}{path}");
    let mut stream = TcpStream::connect(address).await.map_err(LoadError::io(what()))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(LoadError::io(what()))?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .map_err(LoadError::io(what()))?;
    Ok(text)
}

/// Memory, CPU time and threads of a process, as `key=value`.
pub(crate) fn vital_signs(pid: u32) -> Result<String, LoadError> {
    Ok(format!(
        "memory_kib={} cpu_s={:.2} threads={} machine_load={}",
        figures::memory_kib(pid)?,
        figures::cpu_time(pid).as_secs_f64(),
        figures::threads(pid),
        figures::machine_load()
    ))
}
