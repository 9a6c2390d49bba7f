//! From the operator's configuration to the core's settings, and carriers' names to addresses.

use crate::config::{CalledNumberConfig, CarrierConfig, Config, LatchingConfig, RewriteConfig, UserNumbers};
use crate::dial_plan::{Assignment, CarrierId, DialPlan, Number, Prefix, UserName};
use crate::proxy::{CalledNumber, Carrier, Latching, PhoneUser, Sealer, Settings};
use offhook_process::Problem;
use offhook_sip::digest::Credentials;
use offhook_sip::locate::Place;
use offhook_sip_message::{Host, UriBuf};
use offhook_transport::locate::Locator;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long until a name is looked up again that nobody knew.
const AGAIN: Duration = Duration::from_secs(30);

/// Everything but the socket's address; that comes with binding.
pub(crate) fn settings(config: &Config, bound: SocketAddr, address: SocketAddr) -> Result<Settings, Problem> {
    let proxy = &config.sip_proxy;
    let carriers = config
        .carriers
        .iter()
        .map(carrier)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Settings {
        bound,
        domain: proxy.domain.clone(),
        vsps: proxy.vsp.iter().map(|vsp| vsp.0).collect(),
        carriers,
        dial_plan: dial_plan(config)?,
        calls_max: calls_max(config),
        phones: phones(config),
        carrier_timeout: Duration::from_millis(proxy.carrier_timeout_ms),
        ring_timeout: Duration::from_millis(proxy.ring_timeout_ms),
        requests_max: proxy.requests_max,
        transactions_max: proxy.transactions_max,
        calls_per_second: proxy.calls_per_second,
        phone_calls_per_second: proxy.phone_calls_per_second,
        sealer: proxy
            .route_secret
            .as_ref()
            .map(|secret| Sealer::new(secret.expose().as_bytes())),
        trace: proxy.trace,
        ..Settings::new(address)
    })
}

fn carrier(config: &CarrierConfig) -> Result<Carrier, Problem> {
    let no_target = || {
        Problem::error(
            "carrier.uri",
            format!("`{}` is no target", config.uri),
            "Write sip:host:port",
        )
    };
    let target = config.target().ok_or_else(no_target)?;
    let places = literal_address(&target).map(Place::from).into_iter().collect();
    let credentials = config.username.clone().zip(config.password.as_ref());
    Ok(Carrier {
        places,
        sources: config.addresses.clone(),
        credentials: credentials.map(|(username, password)| Credentials {
            username,
            password: password.expose().to_owned(),
        }),
        strip: config.strip,
        prepend: config.prepend.clone(),
        inbound: config.inbound.iter().filter_map(RewriteConfig::rule).collect(),
        called_number: match config.called_number {
            CalledNumberConfig::RequestUri => CalledNumber::RequestUri,
            CalledNumberConfig::To => CalledNumber::To,
        },
        trusted: config.trusted,
        latching: config.latching.map(|latching| match latching {
            LatchingConfig::Off => Latching::Off,
            LatchingConfig::SameAddress => Latching::SameAddress,
            LatchingConfig::Any => Latching::Any,
        }),
        follow_redirects: config.follow_redirects,
        calls_per_second: config.calls_per_second,
        calls_max: config.calls_max,
        ..Carrier::new(config.name.as_str(), target)
    })
}

fn dial_plan(config: &Config) -> Result<DialPlan, Problem> {
    let mut plan = DialPlan::new();
    for route in &config.routes {
        let prefix = Prefix::new(&route.prefix).ok_or_else(|| {
            Problem::error(
                "route.prefix",
                format!("`{}` is no start of a number", route.prefix),
                "Use digits and +",
            )
        })?;
        let carriers = route.carriers.iter().map(|name| {
            let position = config.carriers.iter().position(|carrier| carrier.name == *name);
            position.map(CarrierId).ok_or_else(|| {
                Problem::error(
                    "route.carriers",
                    format!("there is no carrier `{name}`"),
                    "Add a [[carrier]] of this name",
                )
            })
        });
        plan.add_route(prefix, carriers.collect::<Result<_, _>>()?);
    }
    for entry in &config.numbers {
        plan.add_number(&number(&entry.number, "number.number")?, entry.assignment());
    }
    for entry in &config.users {
        let user = UserName::new(&entry.name).ok_or_else(|| {
            Problem::error(
                "user.name",
                format!("`{}` cannot stand in a SIP address", entry.name),
                "Take a shorter name without control characters",
            )
        })?;
        for text in &entry.numbers {
            plan.add_number(&number(text, "user.numbers")?, Assignment::to_user(user.clone()));
        }
        plan.add_user(user);
    }
    Ok(plan)
}

fn calls_max(config: &Config) -> HashMap<UserName, usize> {
    let limit = |user: &UserNumbers| Some((UserName::new(&user.name)?, user.calls_max?));
    config.users.iter().filter_map(limit).collect()
}

fn phones(config: &Config) -> HashMap<UserName, PhoneUser> {
    let phone = |user: &UserNumbers| {
        let credentials = Credentials {
            username: user.name.clone(),
            password: user.phone_password.as_ref()?.expose().to_owned(),
        };
        let phone_user = PhoneUser {
            numbers: user.numbers.clone(),
            caller_id: user.caller_id.clone(),
            display_name: user.display_name.clone(),
            hide_caller: user.hide_caller,
            ..PhoneUser::from(credentials)
        };
        Some((UserName::new(&user.name)?, phone_user))
    };
    config.users.iter().filter_map(phone).collect()
}

fn number(text: &str, place: &str) -> Result<Number, Problem> {
    Number::new(text.as_bytes())
        .map_err(|error| Problem::error(place, format!("`{text}`: {error}"), "Write it as +15550100"))
}

fn literal_address(target: &UriBuf) -> Option<SocketAddr> {
    let uri = target.uri();
    Some(SocketAddr::new(uri.host()?.ip()?, uri.port_or_default()))
}

/// A carrier that has a name instead of an address.
pub(crate) struct Name {
    pub(crate) carrier: CarrierId,
    pub(crate) host: String,
    /// Without one, DNS says where its SIP is.
    pub(crate) port: Option<u16>,
}

/// The carriers that are to be looked up.
pub(crate) fn names(carriers: &[Carrier]) -> Vec<Name> {
    let name = |(index, carrier): (usize, &Carrier)| {
        let uri = carrier.target.uri();
        match uri.host()? {
            host @ Host::Name(_) => Some(Name {
                carrier: CarrierId(index),
                host: host.to_string(),
                port: uri.port(),
            }),
            Host::V4(_) | Host::V6(_) => None,
        }
    };
    carriers.iter().enumerate().filter_map(name).collect()
}

/// What a look-up has found; nothing if nobody knows the name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) carrier: CarrierId,
    pub(crate) places: Vec<Place>,
}

/// Looks a carrier's name up whenever what was found is no longer fresh, until nobody wants to know.
pub(crate) async fn keep_located(locator: Locator, name: Name, ipv4: bool, found: mpsc::Sender<Found>) {
    loop {
        let located = locator.locate(&name.host, name.port, ipv4).await;
        let fresh_for = match located.servers.is_empty() {
            true => AGAIN,
            false => located.fresh_for,
        };
        let places = located.servers.into_iter().map(|server| Place {
            priority: server.priority,
            weight: server.weight,
            addresses: server.addresses,
        });
        let places = places.collect();
        let carrier = name.carrier;
        if found.send(Found { carrier, places }).await.is_err() {
            return;
        }
        tokio::time::sleep(fresh_for).await;
    }
}
