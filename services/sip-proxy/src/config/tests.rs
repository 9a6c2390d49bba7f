//! What is read, and what is found wrong.

use super::*;
use offhook_process::Severity;
use offhook_process::config::parse;

#[derive(Debug, Deserialize)]
struct Tree {
    #[serde(default)]
    sip_proxy: SipProxyConfig,
    #[serde(default)]
    carrier: Vec<CarrierConfig>,
    #[serde(default)]
    route: Vec<RouteConfig>,
    #[serde(default)]
    number: Vec<NumberConfig>,
}

fn read(text: &str) -> Config {
    let Tree {
        sip_proxy,
        carrier,
        route,
        number,
    } = parse("t", text).expect("the text is right");
    Config {
        sip_proxy,
        carriers: carrier,
        routes: route,
        numbers: number,
        users: vec![UserNumbers {
            name: "alice".to_owned(),
            numbers: vec!["+15550100".to_owned()],
            phone_password: None,
            caller_id: None,
            display_name: None,
            hide_caller: false,
            calls_max: None,
        }],
    }
}

/// What is wrong, and how much.
fn found(config: &Config) -> Vec<(String, Severity)> {
    let problems = config.check().into_iter();
    problems.map(|problem| (problem.path, problem.severity)).collect()
}

fn error(path: &str) -> (String, Severity) {
    (path.to_owned(), Severity::Error)
}

#[test]
fn a_whole_configuration_is_read_and_has_no_problems() {
    let config = read(
        "[sip_proxy]\ndomain = 'voice.example.com'\nudp = '0.0.0.0:5060'\nvsp = ['10.0.0.1', '10.0.0.2:5070', '::1']\n\
         [[carrier]]\nname = 'a'\nuri = 'sip:198.51.100.7:5060;transport=udp'\nusername = 'u'\npassword = 'p'\nstrip = 1\n\
         prepend = '00'\ninbound = [{ prefix = '00', replace = '+' }]\ncalled_number = 'to'\ntrusted = true\nlatching = 'same-address'\ncalls_max = 30\n\
         [[number]]\nnumber = '+15550199'\ntargets = ['user:alice', 'carrier:+1555']\nring_timeout_s = 20\nnext_on = ['rejected']\n\
         [[route]]\nprefix = '+1'\ncarriers = ['a']\n[[route]]\nprefix = ''\ncarriers = ['a']\n",
    );
    assert_eq!(config.check(), []);
    let ports: Vec<u16> = config.sip_proxy.vsp.iter().map(|vsp| vsp.0.port()).collect();
    assert_eq!(ports, [5060, 5070, 5060]);
    assert!(
        !format!("{config:?}").contains("\"p\""),
        "no password in debug output"
    );
}

#[test]
fn the_default_works_on_one_machine() {
    let config = read("");
    assert_eq!(config.check(), []);
    assert_eq!(config.sip_proxy.udp.to_string(), "127.0.0.1:5060");
    assert_eq!(config.sip_proxy.vsp[0].0.to_string(), "127.0.0.1:5070");
}

#[test]
fn a_carrier_at_our_own_address_is_found() {
    for own in ["127.0.0.1:5060", "127.0.0.1", "127.0.0.1:5070"] {
        let config = read(&format!("[[carrier]]\nname = 'a'\nuri = 'sip:{own}'\n"));
        let places: Vec<String> = config.check().into_iter().map(|problem| problem.path).collect();
        assert_eq!(places, ["carrier[0].uri"], "{own}");
    }
}

#[test]
fn mistakes_about_numbers_are_found() {
    let config = read(
        "[sip_proxy]\ntransactions_max = 1\n\
         [[carrier]]\nname = 'a'\nuri = 'sip:h'\ninbound = [{ prefix = '+', replace = 'x' }]\n\
         [[route]]\nprefix = '+1'\ncarriers = ['a']\n\
         [[number]]\nnumber = '15550100'\ntargets = ['user:bob', 'carrier:+49']\nring_timeout_s = 0\n\
         [[number]]\nnumber = 'x'\ntargets = []\n",
    );
    assert_eq!(
        found(&config),
        [
            error("sip_proxy.transactions_max"),
            error("carrier[0].inbound[0]"),
            error("number[0].ring_timeout_s"),
            ("number[0].targets[0]".to_owned(), Severity::Warning),
            error("number[0].targets[1]"),
            error("number[1].targets"),
            error("number[1].number"),
            error("user[0].numbers[0]"),
        ]
    );
    for target in ["alice", "user:", "carrier:x", "queue:a"] {
        let text = format!("[[number]]\nnumber = '1'\ntargets = ['{target}']\n");
        assert!(parse::<Tree>("t", &text).is_err(), "{target}");
    }
}

#[test]
fn each_mistake_is_found_at_its_place() {
    let config = read(
        "[sip_proxy]\nvsp = []\nring_timeout_ms = 60000\nwake_interval_us = 60000\nroute_secret = 'short'\n\
         [[carrier]]\nname = 'alpha'\nuri = 'sips:x'\npassword = 'p'\nprepend = 'x'\n\
         [[carrier]]\nname = 'alpha'\nuri = 'sip:h;transport=tcp'\n\
         [[route]]\nprefix = '+1x'\ncarriers = ['alpah']\n[[route]]\nprefix = '2'\ncarriers = []\n\
         [[route]]\nprefix = '2'\ncarriers = ['alpha']\n",
    );
    assert_eq!(
        found(&config),
        [
            error("sip_proxy.vsp"),
            ("sip_proxy.ring_timeout_ms".to_owned(), Severity::Warning),
            error("sip_proxy.wake_interval_us"),
            error("sip_proxy.route_secret"),
            error("carrier[0].uri"),
            error("carrier[0].username"),
            error("carrier[0].prepend"),
            error("carrier[1].uri"),
            error("carrier[1].name"),
            error("route[0].prefix"),
            error("route[0].carriers[0]"),
            error("route[1].carriers"),
            error("route[2].prefix"),
        ]
    );
    let misspelt = config
        .check()
        .into_iter()
        .find(|problem| problem.path == "route[0].carriers[0]");
    assert_eq!(
        misspelt.map(|problem| problem.remedy).as_deref(),
        Some("Did you mean `alpha`?")
    );
}
