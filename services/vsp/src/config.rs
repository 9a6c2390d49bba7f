//! Configuration of the VSP: the sections `[vsp]` and `[auth]`, and the list `[[user]]`.

mod transfers;

pub use transfers::{FarTransfersConfig, TransfersConfig};

use crate::auth::{Credential, TokenPolicy};
use crate::limits::Limits;
use crate::settings::{AnonymousTarget, Registrar, Settings, SipSettings, User};
use offhook_process::{Problem, Secret};
use offhook_rpc_message::validate::{CustomHeader, Destination};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Shortest secret of an HS256 key, bytes: as long as the hash (RFC 7518 §3.2).
pub const HS256_SECRET_LEN_MIN: usize = 32;

/// The section `[vsp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// TCP address for clients: WebSocket, pages and report uploads. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Certificate and key; without them `listen` has to be loopback, or `trusted_proxies` named. Default: none.
    pub tls: Option<TlsConfig>,
    /// Addresses of reverse proxies that may come without TLS, and whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<IpAddr>,
    /// Values of `Origin` whose pages may open a WebSocket, for example `https://app.example.com`. Default: any.
    pub allowed_origins: Vec<String>,
    /// UDP address of the SIP user agent. Default `127.0.0.1:5070`.
    pub sip: SocketAddr,
    /// Address that the SIP proxy reaches us at, where it differs from `sip` (NAT). Default: `sip`, or with an unspecified
    /// address the one that leads to the proxy.
    pub sip_advertised: Option<SocketAddr>,
    /// UDP address of the SIP proxy. Default `127.0.0.1:5060`.
    pub sip_proxy: SocketAddr,
    /// Addresses beside that of `sip_proxy` that may bring calls for users. Default: none.
    pub sip_peers: Vec<IpAddr>,
    /// Domain of the users and of the numbers they dial, as it stands in SIP addresses. Default `offhook.local`.
    pub domain: String,
    /// Control link to a gateway in another process, `ws://host:port/control`. Default: none, the gateway is in this one.
    pub control: Option<String>,
    /// Site of this node, told to clients as `dc`. Default `local`.
    pub site: String,
    /// Region of the site. Default `local`.
    pub region: String,
    /// How long a call whose other end is lost without a BYE goes on, seconds (RFC 4028): both ends refresh it before.
    /// 0: for ever; else at least 90. Default 1800.
    pub session_expires_s: u32,
    /// SIP status of a call that a user declines: `487`, `486` or `603`; an application may say another one for a call.
    /// Default 487.
    pub reject_code: u16,
    /// SIP status of a call that nobody answers within `ring_timeout_s`: `480` or `408`. Default 480.
    pub no_answer_code: u16,
    /// Headers beside `X-…` that applications may set and see, for example `User-to-User`. Default: none.
    pub headers_allowed: Vec<String>,
    /// What clients may call that log in without a name (`anonymous_login`). Default: none, and such logins are refused.
    pub anonymous_targets: Vec<AnonymousTargetConfig>,
    /// How long a call may ring, seconds. Default 60.
    pub ring_timeout_s: u32,
    /// How long a call may last, seconds; 0: for ever. Default 0.
    pub call_duration_max_s: u32,
    /// How long the calls of a client whose connection was lost are kept, and how long a user without clients stays
    /// registered at a registrar elsewhere, seconds. Default 60.
    pub reattach_grace_s: u32,
    /// Whether clients collect statistics and upload a report of each call. Default true.
    pub call_reports: bool,
    /// Directory for the recordings that applications upload (`enableCallRecording`). Default: none, and they are refused.
    pub recordings_dir: Option<PathBuf>,
    /// How much it may hold, MiB; further recordings are refused. Default 1024.
    pub recordings_max_mib: u32,
    /// Transfers.
    pub transfers: TransfersConfig,
    /// Limits.
    pub limits: LimitsConfig,
}

/// `tls` of `[vsp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the server's certificate, and its chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// An entry of `anonymous_targets` of `[vsp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnonymousTargetConfig {
    /// `target_type` of the login, for example `ai_assistant`.
    pub r#type: String,
    /// `target_id` of the login.
    pub id: String,
    /// Number or user that such clients are connected with.
    pub destination: String,
    /// Number or name that they show. Default `anonymous`.
    #[serde(default = "anonymous")]
    pub caller: String,
}

fn anonymous() -> String {
    "anonymous".to_owned()
}

/// `limits` of `[vsp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// TCP connections at once. Default 12000.
    pub connections_max: usize,
    /// TCP connections of one address (IPv6: of one /64) at once. Default 200: an office behind one address.
    pub connections_per_address_max: usize,
    /// Client sessions at once. Default 10000.
    pub sessions_max: usize,
    /// Client sessions of one user at once. Default 100.
    pub sessions_per_user_max: usize,
    /// Calls of one session at once. Default 16.
    pub calls_per_session_max: usize,
    /// Requests per second of one socket. Default 50.
    pub requests_per_second: u32,
    /// Requests of one socket at once beyond that. Default 200.
    pub requests_burst: u32,
    /// Failed logins of one address (IPv6: of one /64) at once; one is forgiven every six seconds. Default 10.
    pub login_failures_max: u32,
}

/// The section `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Keys whose tokens are believed. Default: none.
    pub jwt: Vec<JwtKeyConfig>,
    /// What `aud` of a token has to name. Default: none, and then tokens with `aud` are refused.
    pub audience: Option<String>,
    /// How much the clocks of the token's maker and ours may differ, seconds. Default 0.
    pub leeway_s: u32,
}

/// A key of `jwt`. Its algorithm is fixed: a token that names another one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtKeyConfig {
    /// `EdDSA`, `ES256` or `HS256`.
    pub alg: JwtAlgorithm,
    /// Takes only tokens whose header has this `kid`. Default: any.
    #[serde(default)]
    pub kid: Option<String>,
    /// PEM file with the public key, for `EdDSA` and `ES256`.
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
    /// The shared secret, for `HS256`; at least 32 bytes.
    #[serde(default)]
    pub secret: Option<Secret>,
}

/// Algorithms of tokens (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum JwtAlgorithm {
    /// Ed25519.
    EdDSA,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// HMAC with SHA-256.
    HS256,
}

/// An entry of `[[user]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// Name to log in with; `sub` of tokens.
    pub name: String,
    /// Argon2 hash of the password in PHC form, as `offhook hash-password` prints it.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// The password itself: for trying out only.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Password that SIP phones of the user register and call with at the SIP proxy. Default: none, and the user has no phones.
    #[serde(default)]
    pub phone_password: Option<Secret>,
    /// Numbers of the user. Default: none.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Number shown to those called when the client asks for none. Default: the first of `numbers`.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// Name shown to those called when the client asks for none. Default: none.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Account at somebody else's registrar (a PBX, Kamailio): registered there while the user has a client here, and all
    /// calls of the user come and go there. Default: none.
    #[serde(default)]
    pub register: Option<RegisterConfig>,
    /// Whether those called may not see who calls; an application may also ask for it, with the caller number `anonymous`.
    /// Default false.
    #[serde(default)]
    pub hide_caller: bool,
    /// Calls at once, over all browsers and SIP phones of the user; over it the user is busy. Default: no limit.
    #[serde(default)]
    pub calls_max: Option<usize>,
}

/// `register` of a `[[user]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterConfig {
    /// Domain of the account.
    pub domain: String,
    /// UDP address of the registrar, or of the proxy in front of it. Default: what DNS says of `domain` (NAPTR, SRV, then its
    /// addresses), asked anew when nobody answers there.
    #[serde(default)]
    pub address: Option<SocketAddr>,
    /// Name of the account.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Lifetime of a registration, seconds; the registrar may decide for another one. Default 600.
    #[serde(default = "ten_minutes_s")]
    pub expires_s: u32,
}

const fn ten_minutes_s() -> u32 {
    600
}

impl RegisterConfig {
    fn registrar(&self) -> Option<Registrar> {
        Some(Registrar {
            domain: self.domain.clone(),
            address: self.address,
            username: self.username.clone(),
            password: Credential::new(self.password.expose().to_owned())?,
            expires: Duration::from_secs(self.expires_s.into()),
        })
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if offhook_sip_message::Host::new(self.domain.as_bytes()).is_none() {
            let what = format!("{:?} is no host name", self.domain);
            problems.push(Problem::error("domain", what, "Write it like pbx.example.com"));
        }
        if self.username.is_empty() || self.password.expose().len() > Credential::LEN_MAX {
            problems.push(Problem::error(
                "username",
                "there is no account to register",
                "Give username and password",
            ));
        }
        if !(60..=86_400).contains(&self.expires_s) {
            let what = format!("{} s is no usual lifetime", self.expires_s);
            problems.push(Problem::error("expires_s", what, "Give 60 to 86400"));
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            tls: None,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            sip: (Ipv4Addr::LOCALHOST, 5070).into(),
            sip_advertised: None,
            sip_proxy: (Ipv4Addr::LOCALHOST, 5060).into(),
            sip_peers: Vec::new(),
            domain: "offhook.local".to_owned(),
            control: None,
            site: "local".to_owned(),
            region: "local".to_owned(),
            session_expires_s: 1800,
            reject_code: 487,
            no_answer_code: 480,
            headers_allowed: Vec::new(),
            anonymous_targets: Vec::new(),
            ring_timeout_s: 60,
            call_duration_max_s: 0,
            reattach_grace_s: 60,
            call_reports: true,
            recordings_dir: None,
            recordings_max_mib: 1024,
            transfers: TransfersConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let core = Limits::default();
        Self {
            connections_max: 12_000,
            connections_per_address_max: 200,
            sessions_max: core.sessions_max,
            sessions_per_user_max: core.sessions_per_user_max,
            calls_per_session_max: core.calls_per_session_max,
            requests_per_second: core.requests_per_second,
            requests_burst: core.requests_burst,
            login_failures_max: core.login_failures_max,
        }
    }
}

impl Config {
    /// What is wrong with it, and how to mend it. Paths are relative to the section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.tls.is_none() && !self.listen.ip().is_loopback() && self.trusted_proxies.is_empty() {
            problems.push(Problem::error(
                "tls",
                format!("{} is reachable from outside without TLS", self.listen),
                "Give tls = { cert = \"…\", key = \"…\" }, listen on 127.0.0.1, or name the proxy in trusted_proxies",
            ));
        }
        for (path, file) in self
            .tls
            .iter()
            .flat_map(|tls| [("tls.cert", &tls.cert), ("tls.key", &tls.key)])
        {
            if let Err(error) = std::fs::metadata(file) {
                let what = format!("cannot read {}: {error}", file.display());
                problems.push(Problem::error(
                    path,
                    what,
                    "Name a PEM file that this process may read",
                ));
            }
        }
        if offhook_sip_message::Host::new(self.domain.as_bytes()).is_none() {
            let what = format!("{:?} is no host name", self.domain);
            problems.push(Problem::error("domain", what, "Write it like voice.example.com"));
        }
        if self.sip.is_ipv4() != self.sip_proxy.is_ipv4() {
            let what = format!("{} cannot send to {}", self.sip, self.sip_proxy);
            problems.push(Problem::error("sip", what, "Let both be IPv4, or both IPv6"));
        }
        if self.ring_timeout_s == 0 {
            problems.push(Problem::error(
                "ring_timeout_s",
                "no call could be answered",
                "60 suits most",
            ));
        }
        if (1..90).contains(&self.session_expires_s) {
            let what = format!("{} s is less than SIP allows", self.session_expires_s);
            problems.push(Problem::error(
                "session_expires_s",
                what,
                "Give at least 90, or 0 for none",
            ));
        }
        problems.extend(self.check_calls());
        problems.extend(self.check_control());
        let limits = self.limits.check().into_iter();
        problems.extend(limits.map(|problem| problem.below("limits")));
        let transfers = self.transfers.check().into_iter();
        problems.extend(transfers.map(|problem| problem.below("transfers")));
        problems
    }

    fn check_calls(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !matches!(self.reject_code, 486 | 487 | 603) {
            let what = format!("{} is no status of a declined call", self.reject_code);
            problems.push(Problem::error("reject_code", what, "Give 487, 486 or 603"));
        }
        if !matches!(self.no_answer_code, 408 | 480) {
            let what = format!("{} is no status of an unanswered call", self.no_answer_code);
            problems.push(Problem::error("no_answer_code", what, "Give 480 or 408"));
        }
        for (at, target) in self.anonymous_targets.iter().enumerate() {
            for (key, value) in [("destination", &target.destination), ("caller", &target.caller)] {
                if let Err(why) = Destination::new(value) {
                    let path = format!("anonymous_targets[{at}].{key}");
                    problems.push(Problem::error(path, why.to_string(), "Give a number or a user"));
                }
            }
        }
        for name in &self.headers_allowed {
            let allowed = [name.to_ascii_lowercase()];
            if let Err(why) = CustomHeader::with_allowed(name, "", &allowed) {
                let what = format!("{name:?}: {why}");
                problems.push(Problem::error("headers_allowed", what, "Take it out"));
            }
        }
        problems
    }

    fn check_control(&self) -> Vec<Problem> {
        let Some(url) = &self.control else {
            return Vec::new();
        };
        let Some(rest) = url.strip_prefix("ws://") else {
            let what = format!("{url} is no WebSocket address");
            return vec![Problem::error(
                "control",
                what,
                "Write it like ws://127.0.0.1:8090/control",
            )];
        };
        let host = rest.split('/').next().unwrap_or_default();
        let local = host.starts_with("127.") || host.starts_with("localhost:") || host.starts_with("[::1]");
        if local {
            return Vec::new();
        }
        vec![Problem::warning(
            "control",
            format!("the control link to {host} is not encrypted"),
            "Keep both ends in a private network, or on one host",
        )]
    }

    /// The core's settings on this node; `contact` is the address that the SIP proxy reaches us at.
    pub fn settings(
        &self,
        node: &str,
        auth: &AuthConfig,
        users: &[UserConfig],
        contact: SocketAddr,
    ) -> Settings {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Settings {
            node: node.to_owned(),
            site: self.site.clone(),
            region: self.region.clone(),
            sip: SipSettings {
                contact,
                proxy: self.sip_proxy,
                peers: self.sip_peers.iter().map(IpAddr::to_canonical).collect(),
                domain: self.domain.clone(),
                session_expires: (self.session_expires_s > 0).then(|| seconds(self.session_expires_s)),
            },
            users: users
                .iter()
                .map(|user| (user.name.clone(), user.user()))
                .collect::<HashMap<_, _>>(),
            tokens: TokenPolicy {
                audience: auth.audience.clone(),
                leeway_s: auth.leeway_s.into(),
            },
            limits: self.limits.limits(),
            ring_timeout: seconds(self.ring_timeout_s),
            reject_code: self.reject_code,
            no_answer_code: self.no_answer_code,
            headers_allowed: self
                .headers_allowed
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            anonymous_targets: self
                .anonymous_targets
                .iter()
                .filter_map(|target| {
                    Some(AnonymousTarget {
                        kind: target.r#type.clone(),
                        id: target.id.clone(),
                        destination: Destination::new(&target.destination).ok()?,
                        caller: target.caller.clone(),
                    })
                })
                .collect(),
            call_duration_max: (self.call_duration_max_s > 0).then(|| seconds(self.call_duration_max_s)),
            transfers: self.transfers.settings(),
            reattach_grace: seconds(self.reattach_grace_s),
            call_reports: self.call_reports,
        }
    }
}

impl LimitsConfig {
    fn check(&self) -> Vec<Problem> {
        let limits = [
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("sessions_max", self.sessions_max),
            ("sessions_per_user_max", self.sessions_per_user_max),
            ("calls_per_session_max", self.calls_per_session_max),
            ("requests_per_second", self.requests_per_second as usize),
            ("requests_burst", self.requests_burst as usize),
            ("login_failures_max", self.login_failures_max as usize),
        ];
        let zero = limits.into_iter().filter(|(_, limit)| *limit == 0);
        zero.map(|(path, _)| Problem::error(path, "nothing would be let through", "Give at least 1"))
            .collect()
    }

    fn limits(&self) -> Limits {
        Limits {
            sessions_max: self.sessions_max,
            sessions_per_user_max: self.sessions_per_user_max,
            calls_per_session_max: self.calls_per_session_max,
            requests_per_second: self.requests_per_second,
            requests_burst: self.requests_burst,
            login_failures_max: self.login_failures_max,
        }
    }
}

impl AuthConfig {
    /// What is wrong with it, and how to mend it. Paths are relative to the section.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (at, key) in self.jwt.iter().enumerate() {
            if let Err(error) = crate::run::verify::decoding_key(key) {
                let remedy = "`offhook keygen` makes a pair of keys and prints the lines for them";
                problems.push(Problem::error(format!("jwt[{at}]"), error.to_string(), remedy));
            }
        }
        if self.leeway_s > 300 {
            let what = format!("tokens would be taken {} s after their end", self.leeway_s);
            problems.push(Problem::warning(
                "leeway_s",
                what,
                "30 is much where clocks are synchronised",
            ));
        }
        problems
    }
}

impl UserConfig {
    /// What the core knows of the user.
    fn user(&self) -> User {
        User {
            numbers: self.numbers.clone(),
            caller_id: self.caller_id.clone(),
            display_name: self.display_name.clone(),
            register: self.register.as_ref().and_then(RegisterConfig::registrar),
            hide_caller: self.hide_caller,
            calls_max: self.calls_max,
        }
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let name = offhook_rpc_message::validate::Destination::new(&self.name);
        if name.is_err() {
            let what = format!("{:?} cannot stand in a SIP address", self.name);
            problems.push(Problem::error("name", what, "Use letters, digits and - . _"));
        }
        let register = self.register.iter().flat_map(RegisterConfig::check);
        problems.extend(register.map(|problem| problem.below("register")));
        match (&self.password_hash, &self.password) {
            (Some(_), Some(_)) => problems.push(Problem::error(
                "password",
                "there is a password_hash too",
                "Keep password_hash alone",
            )),
            (None, Some(_)) => problems.push(Problem::warning(
                "password",
                "the password stands in the configuration",
                "Put what `offhook hash-password` prints into password_hash instead",
            )),
            (Some(hash), None) if argon2::PasswordHash::new(hash).is_err() => problems.push(Problem::error(
                "password_hash",
                "it is no Argon2 hash in PHC form ($argon2id$…)",
                "Put what `offhook hash-password` prints here",
            )),
            _ => {}
        }
        if let Some(caller_id) = self
            .caller_id
            .as_ref()
            .filter(|caller_id| !self.numbers.contains(caller_id))
        {
            let what = format!("{caller_id} is none of the user's numbers");
            problems.push(Problem::warning(
                "caller_id",
                what,
                "Add it to numbers, or take it out",
            ));
        }
        problems
    }
}

/// What is wrong with the list of users, and how to mend it. Paths begin with the index: `[1].name`.
pub fn check_users(users: &[UserConfig]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for (at, user) in users.iter().enumerate() {
        let path = format!("[{at}]");
        problems.extend(user.check().into_iter().map(|problem| problem.below(&path)));
        if !names.insert(&user.name) {
            let what = format!("there is another user {:?}", user.name);
            problems.push(Problem::error("name", what, "Give each user a name of its own").below(&path));
        }
    }
    problems
}
