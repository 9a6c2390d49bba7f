//! The configuration of a process: one TOML file, one tree. Each service owns its part; this puts them together.

use crate::{ports, roles::Role};
use offhook_process::{
    NodeName, Problem, TraceLimits,
    admin::AdminConfig,
    config::{self, ConfigError, SyntaxError},
    logging::{self, LogFormat},
};
use offhook_sip_proxy::config::UserNumbers;
use offhook_vsp::config::check_users;
use serde::Deserialize;
use std::{path::Path, time::Duration};

/// The whole tree. A role runs if its section is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) node: NodeConfig,
    #[serde(default)]
    pub(crate) log: LogConfig,
    #[serde(default)]
    pub(crate) admin: AdminConfig,
    #[serde(default)]
    pub(crate) traces: TracesConfig,
    pub(crate) vsp: Option<offhook_vsp::config::Config>,
    #[serde(default)]
    pub(crate) auth: offhook_vsp::config::AuthConfig,
    #[serde(default)]
    pub(crate) user: Vec<offhook_vsp::config::UserConfig>,
    pub(crate) sip_proxy: Option<offhook_sip_proxy::config::SipProxyConfig>,
    #[serde(default)]
    pub(crate) carrier: Vec<offhook_sip_proxy::config::CarrierConfig>,
    #[serde(default)]
    pub(crate) route: Vec<offhook_sip_proxy::config::RouteConfig>,
    #[serde(default)]
    pub(crate) number: Vec<offhook_sip_proxy::config::NumberConfig>,
    pub(crate) b2bua_rtc: Option<offhook_b2bua_rtc::config::Config>,
    pub(crate) demo_carrier: Option<offhook_demo_carrier::Config>,
    pub(crate) geo_dns: Option<offhook_geo_dns::Config>,
}

/// `[node]`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// Name of this node, unique in the fleet; in logs, traces and metrics. Default `local`.
    pub(crate) name: NodeName,
    /// How long calls may go on after SIGTERM before they are ended, seconds. Default 0.
    drain_s: u64,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// `human` or `json`. Default `human`.
    pub(crate) format: LogFormat,
    /// A level, or `target=level` pairs. Default `info`.
    pub(crate) filter: String,
}

/// `[traces]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TracesConfig {
    /// Calls of which the trace is kept; 0: none. Default 1000.
    calls_kept: usize,
    /// Events kept per call. Default 400.
    events_per_call: usize,
    /// Memory for all traces, MiB. Default 64.
    memory_mib: usize,
}

const MIB: usize = 1024 * 1024;

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        config::load(path)
    }

    /// Reads a text; `name` stands for the file in errors.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Box<SyntaxError>> {
        config::parse(name, text)
    }

    /// Everything that is wrong or doubtful.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let below = |section: &'static str| move |problem: Problem| problem.below(section);
        let mut problems = self.log.check();
        problems.extend(self.admin.check().into_iter().map(below("admin")));
        if let Some(vsp) = &self.vsp {
            problems.extend(vsp.check().into_iter().map(below("vsp")));
            problems.extend(self.auth.check().into_iter().map(below("auth")));
            problems.extend(check_users(&self.user).into_iter().map(below("user")));
        }
        problems.extend(
            self.sip_proxy_config()
                .iter()
                .flat_map(offhook_sip_proxy::Config::check),
        );
        if let Some(b2bua_rtc) = &self.b2bua_rtc {
            problems.extend(b2bua_rtc.check().into_iter().map(below("b2bua_rtc")));
        }
        if let Some(demo_carrier) = &self.demo_carrier {
            problems.extend(demo_carrier.check().into_iter().map(below("demo_carrier")));
        }
        if let Some(geo_dns) = &self.geo_dns {
            problems.extend(geo_dns.check().into_iter().map(below("geo_dns")));
        }
        problems.extend(self.check_roles());
        problems.extend(self.check_joints());
        problems.extend(ports::check(self));
        problems
    }

    /// The roles whose sections are there, in order of start.
    pub(crate) fn roles(&self) -> Vec<Role> {
        let there = [
            (Role::GeoDns, self.geo_dns.is_some()),
            (Role::DemoCarrier, self.demo_carrier.is_some()),
            (Role::SipProxy, self.sip_proxy.is_some()),
            (Role::B2buaRtc, self.b2bua_rtc.is_some()),
            (Role::Vsp, self.vsp.is_some()),
        ];
        there
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(role, _)| role)
            .collect()
    }

    /// What the SIP proxy needs, put together from its sections and the users' numbers.
    pub(crate) fn sip_proxy_config(&self) -> Option<offhook_sip_proxy::Config> {
        let users = self.user.iter().map(|user| UserNumbers {
            name: user.name.clone(),
            numbers: user.numbers.clone(),
            phone_password: user.phone_password.clone(),
            caller_id: user.caller_id.clone(),
            display_name: user.display_name.clone(),
            hide_caller: user.hide_caller,
            calls_max: user.calls_max,
        });
        Some(offhook_sip_proxy::Config {
            sip_proxy: self.sip_proxy.clone()?,
            carriers: self.carrier.clone(),
            routes: self.route.clone(),
            numbers: self.number.clone(),
            users: users.collect(),
        })
    }

    /// Place in the tree, host and port, if one is named, of each carrier.
    pub(crate) fn carrier_hosts(&self) -> Vec<(String, String, Option<u16>)> {
        let carriers = self.carrier.iter().enumerate();
        let hosts = carriers.filter_map(|(at, carrier)| {
            let target = carrier.target()?;
            let uri = target.uri();
            let host = uri.host()?.to_string();
            // `[::1]` is how URIs write an IPv6 address, and nobody else.
            let host = host.trim_matches(['[', ']']).to_owned();
            Some((format!("carrier[{at}].uri"), host, uri.port()))
        });
        hosts.collect()
    }

    fn check_roles(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.roles().is_empty() {
            let remedy = "Add [vsp], [sip_proxy], [b2bua_rtc] or [geo_dns]; but for the last an empty section takes the defaults";
            problems.push(Problem::error("", "no role is configured", remedy));
        }
        if self.vsp.as_ref().is_some_and(|vsp| vsp.control.is_none()) && self.b2bua_rtc.is_none() {
            let remedy = "Add [b2bua_rtc], or name the gateway of another process in vsp.control";
            problems.push(Problem::error(
                "vsp.control",
                "the VSP has no media gateway",
                remedy,
            ));
        }
        if self.sip_proxy.is_some() && self.route.is_empty() {
            let remedy = "Add [[carrier]], and [[route]] with prefix and carriers";
            problems.push(Problem::warning(
                "route",
                "no number can be called: there are no routes",
                remedy,
            ));
        }
        if self.vsp.is_some() && self.user.is_empty() && self.auth.jwt.is_empty() {
            let remedy = "Add [[user]] with name and password_hash, or keys to auth.jwt";
            problems.push(Problem::warning(
                "user",
                "nobody can log in: there are neither users nor keys",
                remedy,
            ));
        }
        problems
    }

    /// Whether VSP and SIP proxy of one file find each other.
    fn check_joints(&self) -> Vec<Problem> {
        let (Some(vsp), Some(proxy)) = (&self.vsp, &self.sip_proxy) else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        if vsp.sip_proxy.port() != proxy.udp.port() {
            let what = format!(
                "the VSP calls {}, but the SIP proxy listens on {}",
                vsp.sip_proxy, proxy.udp
            );
            problems.push(Problem::warning("vsp.sip_proxy", what, "Give both the same port"));
        }
        let contact = vsp.sip_advertised.unwrap_or(vsp.sip);
        if !proxy.vsp.iter().any(|peer| peer.0.port() == contact.port()) {
            let what = format!("the VSP at {contact} is not among those whose calls are taken");
            let remedy = format!("Add \"{contact}\" to it");
            problems.push(Problem::warning("sip_proxy.vsp", what, remedy));
        }
        problems
    }
}

impl NodeConfig {
    /// How long calls may go on after SIGTERM.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }
}

impl TracesConfig {
    /// The same as limits.
    pub(crate) fn limits(self) -> TraceLimits {
        TraceLimits {
            calls_kept: self.calls_kept,
            events_per_call: self.events_per_call,
            bytes: self.memory_mib.saturating_mul(MIB),
        }
    }
}

impl LogConfig {
    fn check(&self) -> Vec<Problem> {
        let Err(error) = logging::check(&self.filter) else {
            return Vec::new();
        };
        let what = format!("`{}` cannot be read: {error}", self.filter);
        let remedy = "Write a level such as info, or target=level pairs such as info,offhook_sip=debug";
        vec![Problem::error("log.filter", what, remedy)]
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info".to_owned(),
        }
    }
}

impl Default for TracesConfig {
    fn default() -> Self {
        let limits = TraceLimits::default();
        Self {
            calls_kept: limits.calls_kept,
            events_per_call: limits.events_per_call,
            memory_mib: limits.bytes / MIB,
        }
    }
}
