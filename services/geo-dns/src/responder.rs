//! Bytes of a question in, bytes of the answer out.

use crate::answer::{World, answer};
use crate::choice::Regions;
use crate::fleet::{Fleet, SiteId};
use crate::query::{Extension, PAYLOAD_MIN, Query, SUBNET_OPTION, Unanswerable, read, write_subnet};
use crate::rate::{RateLimit, Verdict};
use crate::region::ClientNetwork;
use crate::zone::Zone;
use hickory_proto::{
    op::{Edns, Message, Metadata, Query as Question, ResponseCode},
    rr::rdata::opt::EdnsOption,
};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

/// Longest answer over UDP, bytes: goes through every network in one piece (RFC 9715).
pub const UDP_ANSWER_LEN_MAX: u16 = 1_232;

/// What a question came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Senders can be forged, and answers have to fit.
    Udp,
    /// Neither.
    Tcp,
}

/// How a question went, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered with records.
    Answered,
    /// The name has nothing of that type.
    NoData,
    /// There is no such name.
    NameError,
    /// Not our zone, or nothing that we do.
    Refused,
    /// It cannot be read.
    FormatError,
    /// Not a question but something that we don't do.
    NotImplemented,
    /// A version of EDNS that nobody knows yet.
    BadVersion,
    /// The answer did not fit; ask over TCP.
    Truncated,
    /// Too many for this network; told to ask over TCP.
    Slipped,
    /// Too many for this network; not answered.
    Limited,
    /// No question at all; not answered.
    Ignored,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Answered,
        Self::NoData,
        Self::NameError,
        Self::Refused,
        Self::FormatError,
        Self::NotImplemented,
        Self::BadVersion,
        Self::Truncated,
        Self::Slipped,
        Self::Limited,
        Self::Ignored,
    ];

    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoData => "no-data",
            Self::NameError => "name-error",
            Self::Refused => "refused",
            Self::FormatError => "format-error",
            Self::NotImplemented => "not-implemented",
            Self::BadVersion => "bad-version",
            Self::Truncated => "truncated",
            Self::Slipped => "slipped",
            Self::Limited => "limited",
            Self::Ignored => "ignored",
        }
    }
}

/// What comes of a message.
#[derive(Debug)]
pub struct Reply {
    /// What to send back; none: nothing.
    pub bytes: Option<Vec<u8>>,
    /// How it went.
    pub outcome: Outcome,
    /// The site that was answered, if it was one.
    pub site: Option<SiteId>,
}

impl Reply {
    fn silent(outcome: Outcome) -> Self {
        Self {
            bytes: None,
            outcome,
            site: None,
        }
    }
}

/// Everything that answers need.
#[derive(Debug)]
pub struct Responder<S> {
    /// The zone.
    pub zone: Zone,
    /// The world.
    pub regions: Regions,
    /// The sites.
    pub fleet: Fleet,
    /// How much may be sent over UDP.
    pub limit: RateLimit<S>,
}

impl<S: BuildHasher> Responder<S> {
    /// Answers a message of `from`.
    pub fn handle_message(
        &mut self,
        now: Instant,
        from: IpAddr,
        transport: Transport,
        message: &[u8],
    ) -> Reply {
        let read = read(message);
        if matches!(read, Err(Unanswerable::Silence)) {
            return Reply::silent(Outcome::Ignored);
        }
        let verdict = match transport {
            Transport::Udp => self.limit.count(now, from),
            Transport::Tcp => Verdict::Answer,
        };
        match (read, verdict) {
            (_, Verdict::Nothing) | (Err(_), Verdict::Truncated) => Reply::silent(Outcome::Limited),
            (Ok(query), Verdict::Truncated) => {
                let mut reply = begin(&query.header, Some(query.question), ResponseCode::NoError);
                reply.metadata.truncation = true;
                add_edns(&mut reply, query.edns.as_ref(), 0);
                Reply {
                    bytes: reply.to_vec().ok(),
                    outcome: Outcome::Slipped,
                    site: None,
                }
            }
            (Ok(query), Verdict::Answer) => self.answer(query, from, transport),
            (Err(bad), Verdict::Answer) => refuse(bad),
        }
    }

    fn answer(&self, query: Query, from: IpAddr, transport: Transport) -> Reply {
        let Query {
            header,
            question,
            edns,
        } = query;
        let subnet = edns.and_then(|edns| edns.subnet);
        let client = match subnet {
            None => ClientNetwork::host(from),
            // Who withholds it may still be answered for the resolver's place.
            Some(subnet) => subnet.network().unwrap_or_else(|| ClientNetwork::host(from)),
        };
        let world = World {
            zone: &self.zone,
            regions: &self.regions,
            fleet: &self.fleet,
        };
        let answer = answer(&question, &client, world);
        // What was chosen for a resolver's place must not be kept as something about a client's network.
        let is_tailored = subnet.is_some_and(|subnet| subnet.network().is_some());
        let scope = if is_tailored { answer.scope } else { 0 };
        let outcome = match answer.code {
            ResponseCode::NXDomain => Outcome::NameError,
            ResponseCode::Refused => Outcome::Refused,
            _ if answer.is_no_data() => Outcome::NoData,
            _ => Outcome::Answered,
        };
        let mut reply = begin(&header, Some(question), answer.code);
        reply.metadata.authoritative = answer.is_authoritative;
        reply.answers = answer.answers;
        reply.authorities = answer.authorities;
        reply.additionals = answer.additionals;
        add_edns(&mut reply, edns.as_ref(), scope);
        let room = match (transport, edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PAYLOAD_MIN,
            (Transport::Udp, Some(edns)) => edns.payload.min(UDP_ANSWER_LEN_MAX),
        };
        fit(reply, usize::from(room), outcome, answer.site)
    }
}

/// The answer in so many bytes. What does not fit goes without its additional records, which nobody asked for, or else
/// empty, with the mark to ask over TCP.
fn fit(mut reply: Message, room: usize, outcome: Outcome, site: Option<SiteId>) -> Reply {
    let in_room = |reply: &Message| reply.to_vec().ok().filter(|bytes| bytes.len() <= room);
    let whole = in_room(&reply).or_else(|| {
        reply.additionals.clear();
        in_room(&reply)
    });
    match whole {
        Some(bytes) => Reply {
            bytes: Some(bytes),
            outcome,
            site,
        },
        None => Reply {
            bytes: reply.truncate().to_vec().ok(),
            outcome: Outcome::Truncated,
            site: None,
        },
    }
}

fn refuse(bad: Unanswerable) -> Reply {
    let Unanswerable::Error {
        header,
        question,
        has_edns,
        code,
    } = bad
    else {
        return Reply::silent(Outcome::Ignored);
    };
    let mut reply = begin(&header, question, code);
    if has_edns {
        let bare = Extension {
            version: 0,
            payload: 0,
            wants_signatures: false,
            subnet: None,
        };
        add_edns(&mut reply, Some(&bare), 0);
    }
    let outcome = match code {
        ResponseCode::NotImp => Outcome::NotImplemented,
        ResponseCode::BADVERS => Outcome::BadVersion,
        _ => Outcome::FormatError,
    };
    Reply {
        bytes: reply.to_vec().ok(),
        outcome,
        site: None,
    }
}

fn begin(header: &Metadata, question: Option<Question>, code: ResponseCode) -> Message {
    let mut reply = Message::response(header.id, header.op_code);
    reply.metadata = Metadata::response_from_request(header);
    reply.metadata.response_code = code;
    // Neither checks nor repeats what only validating resolvers need (RFC 4035 §3.1.6).
    reply.metadata.checking_disabled = false;
    // The name goes back letter by letter as it came: askers look at that.
    reply.queries.extend(question);
    reply
}

/// Who sends OPT gets OPT (RFC 6891 §7), and who sends a subnet gets it back (RFC 7871 §7.2.1).
fn add_edns(reply: &mut Message, asked: Option<&Extension>, scope: u8) {
    let Some(asked) = asked else { return };
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_ANSWER_LEN_MAX);
    edns.set_dnssec_ok(asked.wants_signatures);
    if let Some(subnet) = &asked.subnet {
        let option = EdnsOption::Unknown(SUBNET_OPTION, write_subnet(subnet, scope));
        edns.options_mut().insert(option);
    }
    reply.set_edns(edns);
}
