//! The records for a question: question, client network, zone and fleet in, sections out.

use crate::choice::{Choice, Regions};
use crate::fleet::{Fleet, SiteId};
use crate::query::is_internet;
use crate::region::ClientNetwork;
use crate::zone::{Node, Zone};
use hickory_proto::{
    op::{Query as Question, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, HINFO, NS},
    },
};
use std::net::IpAddr;

/// What is said to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The code.
    pub code: ResponseCode,
    /// Whether it is ours to say.
    pub is_authoritative: bool,
    /// The records that were asked for.
    pub answers: Vec<Record>,
    /// SOA, where there are none (RFC 2308).
    pub authorities: Vec<Record>,
    /// Addresses of name servers that the answer names.
    pub additionals: Vec<Record>,
    /// Bits of the client's address that the answer depends on (RFC 7871 §7.2.1).
    pub scope: u8,
    /// The site whose addresses are given.
    pub site: Option<SiteId>,
}

impl Answer {
    fn new(code: ResponseCode) -> Self {
        Self {
            code,
            is_authoritative: true,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            scope: 0,
            site: None,
        }
    }

    fn refused() -> Self {
        Self {
            is_authoritative: false,
            ..Self::new(ResponseCode::Refused)
        }
    }

    /// True if the name is there and has nothing of the type that was asked for.
    pub fn is_no_data(&self) -> bool {
        self.code == ResponseCode::NoError && self.answers.is_empty()
    }
}

/// All that an answer is made of, beside the question.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// Which names there are.
    pub zone: &'a Zone,
    /// Whose networks are whose.
    pub regions: &'a Regions,
    /// Which sites stand.
    pub fleet: &'a Fleet,
}

/// What is said to `question` of somebody in `client`.
pub fn answer(question: &Question, client: &ClientNetwork, world: World<'_>) -> Answer {
    let zone = world.zone;
    let name = question.name();
    let is_transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    if !is_internet(question) || !zone.holds(name) || is_transfer {
        return Answer::refused();
    }
    let mut answer = Answer::new(ResponseCode::NoError);
    let Some(node) = zone.find(name) else {
        answer.code = ResponseCode::NXDomain;
        answer.authorities.push(negative_soa(zone));
        return answer;
    };
    match question.query_type() {
        // RFC 8482 §4.2: one small record in place of everything, which is what those want who forge questions.
        RecordType::ANY => {
            let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
            answer
                .answers
                .push(Record::from_rdata(name.clone(), zone.zone_ttl_s, data));
        }
        RecordType::SOA if *node == Node::Nearest => answer.answers.push(soa(zone)),
        RecordType::NS if *node == Node::Nearest => add_name_servers(&mut answer, name, zone),
        kind @ (RecordType::A | RecordType::AAAA) => {
            add_addresses(&mut answer, (name, kind), node, client, world);
        }
        _ => {}
    }
    if answer.answers.is_empty() {
        // Caches keep one "nothing" for everybody (RFC 7871 §7.4), so that it never depends on who asks.
        (answer.scope, answer.site) = (0, None);
        answer.authorities.push(negative_soa(zone));
    }
    answer
}

fn add_addresses(
    answer: &mut Answer,
    (name, kind): (&Name, RecordType),
    node: &Node,
    client: &ClientNetwork,
    world: World<'_>,
) {
    let World { zone, regions, fleet } = world;
    let choice = match node {
        Node::Nearest => regions.choose(client, fleet),
        Node::Region(region) => {
            let near = regions.choose_near(*region, client, fleet);
            near.map(|(site, scope)| Choice { site, scope })
        }
        Node::Site(site) => Some(Choice {
            site: *site,
            scope: 0,
        }),
        Node::NameServer(addresses) => {
            let records = addresses_of(name, addresses, kind, zone.zone_ttl_s);
            answer.answers.extend(records);
            None
        }
        Node::Empty => None,
    };
    let chosen = choice.and_then(|choice| Some((choice, fleet.site(choice.site)?)));
    if let Some((choice, site)) = chosen {
        answer
            .answers
            .extend(addresses_of(name, &site.addresses, kind, zone.ttl_s));
        (answer.scope, answer.site) = (choice.scope, Some(choice.site));
    }
}

fn add_name_servers(answer: &mut Answer, name: &Name, zone: &Zone) {
    for (server, addresses) in zone.name_servers() {
        let data = RData::NS(NS(server.clone()));
        answer
            .answers
            .push(Record::from_rdata(name.clone(), zone.zone_ttl_s, data));
        if zone.holds(server) {
            for kind in [RecordType::A, RecordType::AAAA] {
                let records = addresses_of(server, addresses, kind, zone.zone_ttl_s);
                answer.additionals.extend(records);
            }
        }
    }
}

fn addresses_of<'a>(
    name: &'a Name,
    addresses: &'a [IpAddr],
    kind: RecordType,
    ttl_s: u32,
) -> impl Iterator<Item = Record> + 'a {
    let data = addresses.iter().map(|address| match address {
        IpAddr::V4(v4) => RData::A(A(*v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
    });
    data.filter(move |data| data.record_type() == kind)
        .map(move |data| Record::from_rdata(name.clone(), ttl_s, data))
}

fn soa(zone: &Zone) -> Record {
    Record::from_rdata(
        zone.apex().clone(),
        zone.zone_ttl_s,
        RData::SOA(zone.soa().clone()),
    )
}

/// The SOA that says how long a "nothing" is kept: the lesser of its own lifetime and its last field (RFC 2308 §3).
fn negative_soa(zone: &Zone) -> Record {
    let mut record = soa(zone);
    record.ttl = record.ttl.min(zone.soa().minimum);
    record
}
