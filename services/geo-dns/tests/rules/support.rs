//! A world of four sites in three regions, and questions to it.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType, rdata::opt::EdnsOption};
use offhook_geo_dns::Config;
use offhook_geo_dns::fleet::{Check, CheckFailure, Fleet, Output, SiteId};
use offhook_geo_dns::rate::RateLimit;
use offhook_geo_dns::responder::{Outcome, Reply, Responder, Transport};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::time::Instant;

/// Addresses: NJ1 192.0.2.1, AMS3 192.0.2.2, FR5 192.0.2.3, CN1 192.0.2.4, and the same in 2001:db8::/64.
pub(crate) const WORLD: &str = r#"
zone = "rtc.example.com"
hostmaster = "dns@example.com"
ttl_s = 20
zone_ttl_s = 600
default_region = "north-america"
health = { interval_ms = 1000, timeout_ms = 500, failures = 2, successes = 2 }
limits = { answers_per_second = 0 }
nameserver = [
    { name = "ns1.rtc.example.com", addresses = ["192.0.2.53", "2001:db8::53"] },
    { name = "ns2.example.net" },
]
site = [
    { name = "NJ1", addresses = ["192.0.2.1", "2001:db8::1"], health = "http://192.0.2.1:9090/readyz" },
    { name = "AMS3", addresses = ["192.0.2.2", "2001:db8::2"], health = "http://192.0.2.2:9090/readyz" },
    { name = "FR5", addresses = ["192.0.2.3", "2001:db8::3"], health = "http://192.0.2.3:9090/readyz" },
    { name = "CN1", addresses = ["192.0.2.4", "2001:db8::4"], health = "http://192.0.2.4:9090/readyz" },
]
region = [
    { name = "north-america", sites = ["NJ1"], next = ["europe"], networks = ["198.51.100.0/24"] },
    { name = "europe", sites = ["AMS3", "FR5"], next = ["north-america"], networks = ["80.0.0.0/4", "2a00::/11"] },
    { name = "asia-pacific", sites = ["CN1"], next = ["europe"], networks = ["1.0.0.0/8", "81.2.0.0/16", "2400::/12"] },
]
"#;

/// The name that everybody asks for.
pub(crate) const NAME: &str = "rtc.example.com.";

pub(crate) struct World {
    pub(crate) responder: Responder<BuildHasherDefault<DefaultHasher>>,
    pub(crate) now: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(WORLD)
    }

    pub(crate) fn of(text: &str) -> Self {
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.check(), []);
        let settings = config.settings(2026).unwrap();
        let now = Instant::now();
        let responder = Responder {
            zone: settings.zone,
            regions: settings.regions,
            fleet: Fleet::new(settings.sites, config.health.settings(), now),
            limit: RateLimit::new(
                config.limits.answers_per_second,
                BuildHasherDefault::default(),
                now,
            ),
        };
        Self { responder, now }
    }

    /// One round of checks, of which those of `failing` fail.
    pub(crate) fn round(&mut self, failing: &[&str]) {
        self.now = self.responder.fleet.poll_timeout().unwrap_or(self.now);
        self.responder.fleet.handle_timeout(self.now);
        while let Some(output) = self.responder.fleet.poll_output() {
            if let Output::Check(site) = output {
                let name = &self.responder.fleet.site(site).unwrap().name;
                let check = match failing.contains(&name.as_str()) {
                    true => Check::Failed(CheckFailure::Timeout),
                    false => Check::Ready,
                };
                self.responder.fleet.handle_check(self.now, site, check);
            }
        }
    }

    /// A site by its name.
    pub(crate) fn site(&self, name: &str) -> SiteId {
        let mut sites = self.responder.fleet.sites();
        sites.find(|(_, site, _)| site.name == name).unwrap().0
    }

    pub(crate) fn send(&mut self, from: &str, transport: Transport, bytes: &[u8]) -> Reply {
        let from: IpAddr = from.parse().unwrap();
        self.responder.handle_message(self.now, from, transport, bytes)
    }

    /// Asks over UDP from a resolver in North America.
    pub(crate) fn ask(&mut self, question: &Message) -> Message {
        self.ask_from("198.51.100.1", question)
    }

    pub(crate) fn ask_from(&mut self, from: &str, question: &Message) -> Message {
        let bytes = question.to_vec().unwrap();
        let reply = self.send(from, Transport::Udp, &bytes);
        let reply = Message::from_vec(&reply.bytes.expect("it is answered")).unwrap();
        assert_eq!(reply.metadata.id, question.metadata.id);
        assert_eq!(reply.metadata.message_type, MessageType::Response);
        assert!(!reply.metadata.recursion_available);
        reply
    }

    /// What comes of bytes, and the code that is sent back.
    pub(crate) fn outcome(&mut self, bytes: &[u8]) -> (Outcome, Option<ResponseCode>) {
        let reply = self.send("198.51.100.1", Transport::Udp, bytes);
        let code = reply
            .bytes
            .map(|bytes| Message::from_vec(&bytes).unwrap().metadata.response_code);
        (reply.outcome, code)
    }

    /// The site that a resolver at `from` is given for its client in `subnet`.
    pub(crate) fn site_for(&mut self, from: &str, subnet: Option<&str>) -> String {
        let mut message = question(NAME, RecordType::A);
        if let Some(subnet) = subnet {
            with_subnet(&mut message, subnet);
        }
        let bytes = message.to_vec().unwrap();
        let reply = self.send(from, Transport::Udp, &bytes);
        let site = reply.site.expect("a site is given");
        self.responder.fleet.site(site).unwrap().name.clone()
    }
}

pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x2A2A, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

pub(crate) fn with_subnet(message: &mut Message, subnet: &str) {
    with_option(message, EdnsOption::Subnet(subnet.parse().unwrap()));
}

pub(crate) fn with_option(message: &mut Message, option: EdnsOption) {
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut().insert(option);
    message.set_edns(edns);
}

/// The data of the records, as text.
pub(crate) fn data(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    let text = |data: &RData| match data {
        RData::A(a) => a.0.to_string(),
        RData::AAAA(aaaa) => aaaa.0.to_string(),
        other => other.to_string(),
    };
    records.iter().map(|record| text(&record.data)).collect()
}
