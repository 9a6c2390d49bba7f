//! DNS messages (RFC 1035 §4): one question, and the records of one kind out of its answer.

use std::net::IpAddr;

/// Longest name in its encoded form (RFC 1035 §2.3.4).
const NAME_LEN_MAX: usize = 255;
/// Most compression pointers followed in one name: real ones have one or two.
const POINTERS_MAX: usize = 16;
/// Most records read of one answer.
const RECORDS_MAX: usize = 64;
/// Length of a message's header.
const HEADER_LEN: usize = 12;
const CLASS_IN: u16 = 1;

/// Kinds of records that we ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A = 1,
    Aaaa = 28,
    Srv = 33,
    Naptr = 35,
}

/// RFC 2782.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// RFC 3403 §4, without the regular expression, which SIP does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) replacement: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Address(IpAddr),
    Srv(Srv),
    Naptr(Naptr),
}

impl Record {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Address(IpAddr::V4(_)) => Kind::A,
            Self::Address(IpAddr::V6(_)) => Kind::Aaaa,
            Self::Srv(_) => Kind::Srv,
            Self::Naptr(_) => Kind::Naptr,
        }
    }

    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(ip),
            Self::Srv(_) | Self::Naptr(_) => None,
        }
    }

    pub(super) fn srv(self) -> Option<Srv> {
        match self {
            Self::Srv(srv) => Some(srv),
            Self::Address(_) | Self::Naptr(_) => None,
        }
    }

    pub(super) fn naptr(self) -> Option<Naptr> {
        match self {
            Self::Naptr(naptr) => Some(naptr),
            Self::Address(_) | Self::Srv(_) => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Maybe none; each with its lifetime in seconds.
    Records(Vec<(Record, u32)>),
    /// Ask again over TCP.
    Truncated,
    /// The server cannot say.
    Failed,
}

/// The message that asks for records of `kind`; `None` if `name` is no domain name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&id.to_be_bytes());
    // A query, recursion desired; one question, nothing else.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|len| (1..=63).contains(len))?;
        out.push(length);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    if out.len() - HEADER_LEN > NAME_LEN_MAX {
        return None;
    }
    out.extend_from_slice(&(kind as u16).to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    Some(out)
}

/// What `message` says to `question`; `None` if it is no answer to it.
pub(super) fn answer(message: &[u8], question: &[u8]) -> Option<Answer> {
    let header = message.get(..HEADER_LEN)?;
    let asked = question.get(HEADER_LEN..)?;
    let same_id = header.get(..2)? == question.get(..2)?;
    let is_answer = header[2] & 0x80 != 0;
    let repeats = message.get(HEADER_LEN..HEADER_LEN + asked.len())?;
    if !same_id || !is_answer || !repeats.eq_ignore_ascii_case(asked) {
        return None;
    }
    if header[2] & 0x02 != 0 {
        return Some(Answer::Truncated);
    }
    match header[3] & 0x0f {
        0 => {}
        3 => return Some(Answer::Records(Vec::new())), // There is no such name.
        _ => return Some(Answer::Failed),
    }
    let count = u16::from_be_bytes([header[6], header[7]]);
    let mut reader = Reader {
        message,
        at: HEADER_LEN + asked.len(),
    };
    let mut records = Vec::new();
    for _ in 0..usize::from(count).min(RECORDS_MAX) {
        match reader.record() {
            Some(record) => records.extend(record),
            None => return Some(Answer::Failed),
        }
    }
    Some(Answer::Records(records))
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bytes(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn octets<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        self.bytes(COUNT)?.try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = *self.bytes(1)?.first()?;
        let bytes = self.bytes(length.into())?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The next record; `Some(None)`: of a kind that we did not ask for (CNAME).
    fn record(&mut self) -> Option<Option<(Record, u32)>> {
        self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let lifetime_s = u32::from_be_bytes(self.octets()?);
        let length = self.number()?;
        let end = self.at + usize::from(length);
        let record = match (kind, class) {
            (1, CLASS_IN) => Some(Record::Address(IpAddr::from(self.octets::<4>()?))),
            (28, CLASS_IN) => Some(Record::Address(IpAddr::from(self.octets::<16>()?))),
            (33, CLASS_IN) => Some(Record::Srv(self.srv()?)),
            (35, CLASS_IN) => Some(Record::Naptr(self.naptr()?)),
            _ => None,
        };
        if record.is_some() && self.at != end || end > self.message.len() {
            return None;
        }
        self.at = end;
        Some(record.map(|record| (record, lifetime_s)))
    }

    fn srv(&mut self) -> Option<Srv> {
        Some(Srv {
            priority: self.number()?,
            weight: self.number()?,
            port: self.number()?,
            target: self.name()?,
        })
    }

    fn naptr(&mut self) -> Option<Naptr> {
        let (order, preference) = (self.number()?, self.number()?);
        let (flags, service) = (self.text()?, self.text()?);
        self.text()?; // The regular expression.
        let replacement = self.name()?;
        Some(Naptr {
            order,
            preference,
            flags,
            service,
            replacement,
        })
    }

    /// A name, with compression (RFC 1035 §4.1.4), without its last dot.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut after = None;
        let mut pointers = 0;
        loop {
            let length = *self.message.get(at)?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + usize::from(length))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(std::str::from_utf8(label).ok()?);
                    at += 1 + usize::from(length);
                }
                0xc0.. => {
                    pointers += 1;
                    after.get_or_insert(at + 2);
                    let low = *self.message.get(at + 1)?;
                    at = usize::from(length & 0x3f) << 8 | usize::from(low);
                }
                _ => return None,
            }
            if pointers > POINTERS_MAX || name.len() > NAME_LEN_MAX {
                return None;
            }
        }
        self.at = after.unwrap_or(at + 1);
        Some(name)
    }
}
