//! Reads a question: the header, one question, and of all that may follow it the OPT record alone.
//!
//! Names and numbers are read by `hickory-proto`; what is ours is what a question may look like, and the client subnet of
//! RFC 7871, which has to be read strictly: an answer is cached for the network that it names.

use crate::region::{ClientNetwork, width};
use hickory_proto::{
    op::{Header, MessageType, Metadata, OpCode, Query as Question, ResponseCode},
    rr::{DNSClass, Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder, DecodeError},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest message that is read, bytes: a name, and an OPT record with every option that resolvers send.
pub const QUERY_LEN_MAX: usize = 4_096;
/// Most records behind a question: OPT, and a signature. Each may make its reader follow a hundred labels and pointers.
pub const RECORDS_MAX: usize = 4;
/// Option code of the client subnet.
pub const SUBNET_OPTION: u16 = 8;
/// Payload that everybody takes (RFC 1035 §4.2.1, RFC 6891 §6.2.3).
pub const PAYLOAD_MIN: u16 = 512;
/// The flag of an OPT record that asks for signatures, among the 32 bits that are a lifetime elsewhere.
const DNSSEC_OK: u32 = 0x8000;
/// Bytes of a client subnet before its address.
const SUBNET_HEAD_LEN: usize = 4;

/// A question that can be answered.
#[derive(Debug, Clone)]
pub struct Query {
    /// The header, as it came.
    pub header: Metadata,
    /// Name, type and class; the name as it was written.
    pub question: Question,
    /// What came in the OPT record; none without one.
    pub edns: Option<Extension>,
}

/// The OPT record of a question (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// The version that the asker speaks.
    pub version: u8,
    /// The longest answer that fits the asker, bytes.
    pub payload: u16,
    /// Whether it wants signatures, which are not ours to give; the answer repeats it (RFC 3225 §3).
    pub wants_signatures: bool,
    /// Where the asker's client is.
    pub subnet: Option<Subnet>,
}

/// A client subnet (RFC 7871 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    /// Of family 0, with no address: the client does not want its network known, and says it in the way of `dig`.
    Withheld,
    /// A network; of no bits, if the client does not want it known.
    Network(ClientNetwork),
}

impl Subnet {
    /// The network, if any of it is known.
    pub fn network(&self) -> Option<ClientNetwork> {
        match self {
            Self::Network(network) if network.prefix() > 0 => Some(*network),
            Self::Network(_) | Self::Withheld => None,
        }
    }
}

/// A message that is no question that can be answered.
#[derive(Debug, Clone)]
pub enum Unanswerable {
    /// Nothing may be sent back: it is an answer itself, or not even a header.
    Silence,
    /// Send this code back.
    Error {
        /// The header, as it came.
        header: Metadata,
        /// The question, as far as it could be read.
        question: Option<Question>,
        /// Whether the asker knows of OPT records.
        has_edns: bool,
        /// What to say.
        code: ResponseCode,
    },
}

/// Reads a message.
pub fn read(message: &[u8]) -> Result<Query, Unanswerable> {
    if message.len() > QUERY_LEN_MAX {
        return Err(Unanswerable::Silence);
    }
    let mut decoder = BinDecoder::new(message);
    let Ok(Header { metadata, counts, .. }) = Header::read(&mut decoder) else {
        return Err(Unanswerable::Silence);
    };
    // Answering answers would let two servers talk for ever.
    if metadata.message_type != MessageType::Query {
        return Err(Unanswerable::Silence);
    }
    let error = |question: Option<Question>, has_edns, code| Unanswerable::Error {
        header: metadata,
        question,
        has_edns,
        code,
    };
    if metadata.op_code != OpCode::Query {
        return Err(error(None, false, ResponseCode::NotImp));
    }
    // RFC 9619: exactly one.
    if counts.queries != 1 {
        return Err(error(None, false, ResponseCode::FormErr));
    }
    let question = Question::read(&mut decoder).map_err(|_| error(None, false, ResponseCode::FormErr))?;
    let records = [counts.answers, counts.authorities, counts.additionals];
    let edns = read_records(&mut decoder, records.map(usize::from));
    let edns = edns.map_err(|bad| error(Some(question.clone()), bad.has_edns, ResponseCode::FormErr))?;
    if edns.is_some_and(|edns| edns.version != 0) {
        return Err(error(Some(question), true, ResponseCode::BADVERS));
    }
    Ok(Query {
        header: metadata,
        question,
        edns,
    })
}

/// What follows the question cannot be read.
struct Malformed {
    has_edns: bool,
}

impl From<DecodeError> for Malformed {
    fn from(_: DecodeError) -> Self {
        Self { has_edns: false }
    }
}

/// Passes over all records but OPT, of which there may be one (RFC 6891 §6.1.1), among the additional ones.
fn read_records(
    decoder: &mut BinDecoder<'_>,
    [answers, authorities, additionals]: [usize; 3],
) -> Result<Option<Extension>, Malformed> {
    if answers + authorities + additionals > RECORDS_MAX {
        return Err(Malformed { has_edns: false });
    }
    let mut edns = None;
    for at in 0..answers + authorities + additionals {
        let name = Name::read(decoder)?;
        let kind = RecordType::read(decoder)?;
        let class = decoder.read_u16()?.unverified();
        let ttl = decoder.read_u32()?.unverified();
        let len = decoder.read_u16()?.unverified();
        let data = decoder.read_slice(usize::from(len))?.unverified();
        if kind != RecordType::OPT {
            continue;
        }
        let bad = Malformed { has_edns: true };
        if edns.is_some() || at < answers + authorities || !name.is_root() {
            return Err(bad);
        }
        let version = (ttl >> 16 & 0xFF) as u8;
        edns = Some(Extension {
            version,
            payload: class.max(PAYLOAD_MIN),
            wants_signatures: ttl & DNSSEC_OK != 0,
            // Options of versions that we do not know may mean something else.
            subnet: if version == 0 {
                read_options(data).ok_or(bad)?
            } else {
                None
            },
        });
    }
    Ok(edns)
}

/// The client subnet among the options of an OPT record. None if they are malformed.
fn read_options(mut data: &[u8]) -> Option<Option<Subnet>> {
    let mut subnet = None;
    while !data.is_empty() {
        let (head, rest) = data.split_at_checked(4)?;
        let code = u16::from_be_bytes([head[0], head[1]]);
        let len = u16::from_be_bytes([head[2], head[3]]);
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        data = rest;
        // Two of them contradict each other, or say nothing new.
        if code == SUBNET_OPTION && subnet.replace(read_subnet(value)?).is_some() {
            return None;
        }
    }
    Some(subnet)
}

/// The value of a client subnet option. None if it breaks one of the rules of RFC 7871 §6.
pub fn read_subnet(value: &[u8]) -> Option<Subnet> {
    let (head, octets) = value.split_at_checked(SUBNET_HEAD_LEN)?;
    let family = u16::from_be_bytes([head[0], head[1]]);
    let (prefix, scope) = (head[2], head[3]);
    // In questions the scope is 0.
    if scope != 0 || octets.len() != usize::from(prefix).div_ceil(8) {
        return None;
    }
    let address: IpAddr = match family {
        0 if prefix == 0 => return Some(Subnet::Withheld),
        1 => padded::<4>(octets).map(Ipv4Addr::from)?.into(),
        2 => padded::<16>(octets).map(Ipv6Addr::from)?.into(),
        _ => return None,
    };
    let network = ClientNetwork::new(address, prefix);
    // Bits beyond the prefix are zero.
    let is_exact = prefix <= width(address) && network.address() == address;
    is_exact.then_some(Subnet::Network(network))
}

/// The value of a client subnet option for an answer: the network as it was asked, with the scope (RFC 7871 §7.2.1).
pub fn write_subnet(subnet: &Subnet, scope: u8) -> Vec<u8> {
    let (family, octets, prefix): (u16, Vec<u8>, u8) = match subnet {
        Subnet::Withheld => (0, Vec::new(), 0),
        Subnet::Network(network) => match network.address() {
            IpAddr::V4(v4) => (1, v4.octets().to_vec(), network.prefix()),
            IpAddr::V6(v6) => (2, v6.octets().to_vec(), network.prefix()),
        },
    };
    let mut value = family.to_be_bytes().to_vec();
    value.extend([prefix, scope]);
    value.extend(octets.iter().take(usize::from(prefix).div_ceil(8)));
    value
}

/// The octets with zeros behind them; none if they are too many.
fn padded<const LEN: usize>(octets: &[u8]) -> Option<[u8; LEN]> {
    let mut all = [0; LEN];
    all.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(all)
}

/// True for questions of the Internet's class. Not for those of every class, whose answers could not be authoritative
/// (RFC 1035 §6.2), and which nobody asks but to get much for little.
pub fn is_internet(question: &Question) -> bool {
    question.query_class() == DNSClass::IN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7871_6_subnets_are_read_strictly() {
        let network = |text: &str, prefix| {
            let network = ClientNetwork::new(text.parse().unwrap(), prefix);
            Some(Subnet::Network(network))
        };
        let cases: &[(&[u8], Option<Subnet>)] = &[
            (&[0, 1, 24, 0, 81, 2, 3], network("81.2.3.0", 24)),
            (&[0, 1, 20, 0, 81, 2, 0x30], network("81.2.48.0", 20)),
            (&[0, 1, 32, 0, 81, 2, 3, 4], network("81.2.3.4", 32)),
            (&[0, 1, 0, 0], network("0.0.0.0", 0)),
            (&[0, 2, 32, 0, 0x2A, 0, 0x10, 0], network("2a00:1000::", 32)),
            (&[0, 2, 0, 0], network("::", 0)),
            (&[0, 0, 0, 0], Some(Subnet::Withheld)),
            // Too few octets, too many, bits beyond the prefix.
            (&[0, 1, 24, 0, 81, 2], None),
            (&[0, 1, 24, 0, 81, 2, 3, 0], None),
            (&[0, 1, 20, 0, 81, 2, 0x31], None),
            (&[0, 1, 0, 0, 0], None),
            // More bits than the family has; a scope; families that nobody knows.
            (&[0, 1, 33, 0, 81, 2, 3, 4, 0], None),
            (&[0, 1, 255, 0], None),
            (&[0, 1, 24, 24, 81, 2, 3], None),
            (&[0, 3, 8, 0, 1], None),
            (&[0, 0, 8, 0, 1], None),
            (&[0, 1, 24], None),
            (&[], None),
        ];
        for (value, expected) in cases {
            assert_eq!(read_subnet(value), *expected, "{value:?}");
            if let Some(subnet) = expected {
                assert_eq!(&write_subnet(subnet, 0), value, "it goes back as it came");
            }
        }
    }

    #[test]
    fn rfc7871_7_1_2_no_bits_are_no_network() {
        assert_eq!(Subnet::Withheld.network(), None);
        let nowhere = ClientNetwork::new("10.0.0.0".parse().unwrap(), 0);
        assert_eq!(Subnet::Network(nowhere).network(), None);
        let somewhere = ClientNetwork::new("10.0.0.0".parse().unwrap(), 8);
        assert_eq!(Subnet::Network(somewhere).network(), Some(somewhere));
    }

    #[test]
    fn rfc6891_6_1_2_options_end_where_they_say() {
        assert_eq!(read_options(&[]), Some(None));
        let cookie_then_subnet = [0, 10, 0, 2, 1, 2, 0, 8, 0, 4, 0, 1, 0, 0];
        assert!(matches!(
            read_options(&cookie_then_subnet),
            Some(Some(Subnet::Network(_)))
        ));
        for cut in [1, 3, 5, 7, 9, 13] {
            assert_eq!(read_options(&cookie_then_subnet[..cut]), None, "{cut}");
        }
        let twice = [0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0];
        assert_eq!(read_options(&twice), None);
    }
}
