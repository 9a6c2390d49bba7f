//! The roles that a process can have, and how each is started from the configuration.

use crate::{config::Config, demo::Demo, fleet::Fleet, page};
use offhook_b2bua_rtc::LocalLink;
use offhook_process::{Context, operator::Requests};
use offhook_vsp::run::{COMMANDS_MAX, EVENTS_MAX, GatewayLink, Parts};
use tokio::sync::mpsc;

/// A part of the platform that runs in a process, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// First, for it leaves last: it has to send clients elsewhere while the others leave.
    GeoDns,
    DemoCarrier,
    SipProxy,
    B2buaRtc,
    Vsp,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Role; 5] = [
        Role::GeoDns,
        Role::DemoCarrier,
        Role::SipProxy,
        Role::B2buaRtc,
        Role::Vsp,
    ];

    /// The section of the configuration that it needs.
    pub(crate) fn section(self) -> &'static str {
        match self {
            Role::GeoDns => "geo_dns",
            Role::DemoCarrier => "demo_carrier",
            Role::SipProxy => "sip_proxy",
            Role::B2buaRtc => "b2bua_rtc",
            Role::Vsp => "vsp",
        }
    }
}

/// What the operator asks of the roles.
#[derive(Debug)]
pub(crate) struct Operators {
    pub(crate) vsp: Requests<offhook_vsp::Server>,
    pub(crate) geo_dns: Requests<offhook_geo_dns::fleet::Fleet>,
}

/// Starts `roles`, as far as the configuration has their sections; what is needed first starts first.
/// `operators` is what the roles serve of the admin port.
pub(crate) fn start(
    config: &Config,
    roles: &[Role],
    context: &Context,
    operators: Operators,
    demo: Option<Demo>,
) -> Fleet {
    let mut roles = roles.to_vec();
    roles.sort();
    let mut fleet = Fleet::default();
    // Both in one process: they are joined by channels, unless the configuration says otherwise.
    let joined = roles.contains(&Role::Vsp)
        && roles.contains(&Role::B2buaRtc)
        && config.vsp.as_ref().is_some_and(|vsp| vsp.control.is_none());
    let (near, far) = if joined { control_link() } else { (None, None) };
    let (mut near, mut far) = (near, far);
    let (mut vsp_operator, mut geo_dns_operator) = (Some(operators.vsp), Some(operators.geo_dns));
    for role in roles {
        let context = context.clone();
        match role {
            Role::GeoDns => {
                if let Some(operator) = geo_dns_operator.take() {
                    start_geo_dns(&mut fleet, config, context, operator);
                }
            }
            Role::DemoCarrier => start_demo_carrier(&mut fleet, config, context),
            Role::SipProxy => start_sip_proxy(&mut fleet, config, context),
            Role::B2buaRtc => start_b2bua_rtc(&mut fleet, config, context, far.take()),
            Role::Vsp => {
                if let Some(operator) = vsp_operator.take() {
                    start_vsp(&mut fleet, config, context, near.take(), operator, demo);
                }
            }
        }
    }
    fleet
}

/// The two ends of a control link within the process.
fn control_link() -> (Option<GatewayLink>, Option<LocalLink>) {
    let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let near = GatewayLink { commands, events };
    let far = LocalLink {
        name: "vsp".to_owned(),
        commands: command_receiver,
        events: event_sender,
    };
    (Some(near), Some(far))
}

fn start_geo_dns(
    fleet: &mut Fleet,
    config: &Config,
    context: Context,
    operator: Requests<offhook_geo_dns::fleet::Fleet>,
) {
    let Some(config) = config.geo_dns.clone() else {
        return;
    };
    fleet.start(offhook_geo_dns::run::ROLE, |shutdown| async move {
        Ok(offhook_geo_dns::run::run(config, context, shutdown, operator).await?)
    });
}

fn start_demo_carrier(fleet: &mut Fleet, config: &Config, context: Context) {
    let Some(config) = config.demo_carrier.clone() else {
        return;
    };
    fleet.start(offhook_demo_carrier::ROLE, |shutdown| async move {
        Ok(offhook_demo_carrier::run(config, context, shutdown).await?)
    });
}

fn start_sip_proxy(fleet: &mut Fleet, config: &Config, context: Context) {
    let Some(config) = config.sip_proxy_config() else {
        return;
    };
    fleet.start(offhook_sip_proxy::ROLE, |shutdown| async move {
        Ok(offhook_sip_proxy::run(config, context, shutdown).await?)
    });
}

fn start_b2bua_rtc(fleet: &mut Fleet, config: &Config, context: Context, link: Option<LocalLink>) {
    let Some(config) = config.b2bua_rtc.clone() else {
        return;
    };
    fleet.start(offhook_b2bua_rtc::ROLE, |shutdown| async move {
        Ok(offhook_b2bua_rtc::run(config, context, shutdown, link).await?)
    });
}

fn start_vsp(
    fleet: &mut Fleet,
    config: &Config,
    context: Context,
    gateway: Option<GatewayLink>,
    operator: Requests<offhook_vsp::Server>,
    demo: Option<Demo>,
) {
    let Some(vsp) = config.vsp.clone() else { return };
    let (auth, users, pages) = (config.auth.clone(), config.user.clone(), page::routes(demo));
    let parts = Parts {
        config: vsp,
        auth,
        users,
        gateway,
        pages,
        operator,
    };
    fleet.start(offhook_vsp::run::ROLE, |shutdown| async move {
        Ok(offhook_vsp::run::run(parts, context, shutdown).await?)
    });
}
