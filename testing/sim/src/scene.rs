//! The setting: addresses, users, carriers, routes. Numbers lead to carrier A, and to B where A fails.

use offhook_sip_message::UriBuf;
use offhook_sip_proxy::dial_plan::{Assignment, CarrierId, DialPlan, Number, Prefix, UserName};
use offhook_sip_proxy::proxy;
use offhook_vsp::{FarTransfers, Settings, SipSettings, TransferSettings, User};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// Name and password of a user.
pub const ALICE: (&str, &str) = ("alice", "wonderland");
/// Another one.
pub const BOB: (&str, &str) = ("bob", "builder");
/// Number of the one.
pub const ALICE_NUMBER: &str = "+15550100";
/// Of the other.
pub const BOB_NUMBER: &str = "+15550101";
/// Numbers that start so go to carrier B first.
pub const SECOND_CARRIER_PREFIX: &str = "2";

/// SIP addresses of the VSPs.
pub const VSPS: [SocketAddr; 2] = [at(5070), at(5071)];
/// Of the proxy.
pub const PROXY: SocketAddr = at(5060);
/// Of the first carrier.
pub const CARRIER_A: SocketAddr = at(5080);
/// Of the second carrier.
pub const CARRIER_B: SocketAddr = at(5081);

const fn at(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// How long a call lives without a refresh: as short as SIP allows.
pub const SESSION_EXPIRES: Duration = Duration::from_secs(90);

pub(crate) fn vsp(address: SocketAddr) -> Settings {
    let user = |number: &str| User {
        numbers: vec![number.into()],
        ..User::default()
    };
    let sip = SipSettings {
        contact: address,
        proxy: PROXY,
        peers: Vec::new(),
        domain: "example.test".into(),
        session_expires: Some(SESSION_EXPIRES),
    };
    let users = [
        (ALICE.0.into(), user(ALICE_NUMBER)),
        (BOB.0.into(), user(BOB_NUMBER)),
    ];
    Settings {
        transfers: TransferSettings {
            from_far_end: FarTransfers::Any,
            ..TransferSettings::default()
        },
        ..Settings::new(sip, users.into())
    }
}

pub(crate) fn proxy() -> proxy::Settings {
    let mut dial_plan = DialPlan::new();
    let prefix = |text| Prefix::new(text).expect("digits");
    dial_plan.add_route(prefix("1"), vec![CarrierId(0), CarrierId(1)]);
    dial_plan.add_route(prefix(SECOND_CARRIER_PREFIX), vec![CarrierId(1), CarrierId(0)]);
    for ((name, _), number) in [(ALICE, ALICE_NUMBER), (BOB, BOB_NUMBER)] {
        let name = UserName::new(name).expect("a name");
        let number = Number::new(number.as_bytes()).expect("a number");
        dial_plan.add_number(&number, Assignment::to_user(name.clone()));
        dial_plan.add_user(name);
    }
    proxy::Settings {
        domain: Some("example.test".into()),
        vsps: VSPS.to_vec(),
        carriers: vec![carrier("a", CARRIER_A), carrier("b", CARRIER_B)],
        dial_plan,
        ring_timeout: Duration::from_secs(180),
        ..proxy::Settings::new(PROXY)
    }
}

fn carrier(name: &str, address: SocketAddr) -> proxy::Carrier {
    let target = UriBuf::new(format!("sip:{address}")).expect("an address makes a URI");
    proxy::Carrier {
        places: vec![address.into()],
        ..proxy::Carrier::new(name, target)
    }
}
