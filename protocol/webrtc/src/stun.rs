//! STUN as an ICE-lite agent and a plain STUN server need it (RFC 8489): binding requests read, responses written.

mod response;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

pub(crate) use response::ErrorCode;
pub use response::{PLAIN_RESPONSE_LEN_MAX, answer_plain_request};

const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// XORed with the checksum, so that it is told apart from other protocols' (RFC 8489 §14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const INTEGRITY_LEN: usize = 20;
/// Most unknown attributes that a 420 names; further ones are as wrong as these.
const UNKNOWN_ATTRIBUTES_MAX: usize = 8;

/// Attribute types (RFC 8489 §18.3, RFC 8445 §16.1).
mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    pub(super) const PASSWORD_ALGORITHM: u16 = 0x001d;
    pub(super) const USERHASH: u16 = 0x001e;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    /// From here on an attribute may be ignored.
    pub(super) const OPTIONAL_FROM: u16 = 0x8000;
}

/// Why bytes are not a message that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    /// Wrong length, alignment or magic cookie, or an attribute that does not fit.
    #[error("not a STUN message")]
    Malformed,
    /// FINGERPRINT is not last or not the checksum of the message.
    #[error("wrong STUN fingerprint")]
    Fingerprint,
    /// Neither a binding request nor an indication.
    #[error("STUN message of type {0:#06x}, only binding requests are answered")]
    Type(u16),
}

/// Reads our ufrag from the USERNAME of a well-formed ICE check (`ours:theirs`, RFC 8445 §7.2.2), without checking its
/// integrity: that is how a datagram from an unknown address finds its leg. None if it is not such a check: framing,
/// magic cookie, FINGERPRINT, a USERNAME of the right form and a MESSAGE-INTEGRITY must be there.
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let Ok(Message::Request(request)) = Message::parse(datagram) else {
        return None;
    };
    request.integrity_at.filter(|_| request.has_fingerprint)?;
    let (ours, theirs) = request.username?.split_once(':')?;
    (is_ice_text(ours, 4..=256) && is_ice_text(theirs, 1..=256)).then_some(ours)
}

/// Whether a text is made of ICE characters and as long as it may be, in bytes (RFC 8839 §5.4).
pub(crate) fn is_ice_text(text: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    len.contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// A message that a lite agent can receive.
#[derive(Debug, Clone)]
pub(crate) enum Message<'a> {
    Request(BindingRequest<'a>),
    /// A keep-alive (RFC 8445 §11); wants no answer.
    Indication,
}

/// A binding request with what ICE puts in it.
#[derive(Debug, Clone)]
pub(crate) struct BindingRequest<'a> {
    bytes: &'a [u8],
    pub(crate) transaction: Transaction,
    pub(crate) username: Option<&'a str>,
    /// Where MESSAGE-INTEGRITY starts.
    integrity_at: Option<usize>,
    pub(crate) has_fingerprint: bool,
    pub(crate) use_candidate: bool,
    pub(crate) claims_controlled: bool,
    pub(crate) priority: u32,
    /// Attributes that have to be understood and are not; the first few.
    pub(crate) unknown: smallvec::SmallVec<[u16; UNKNOWN_ATTRIBUTES_MAX]>,
}

/// Transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction(pub(crate) [u8; 12]);

impl<'a> Message<'a> {
    /// Checks framing and FINGERPRINT and reads the attributes up to MESSAGE-INTEGRITY.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (kind, transaction) = read_header(bytes)?;
        let mut request = BindingRequest::new(bytes, transaction);
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            let (attribute, value, next) = read_attribute(bytes, at)?;
            request.take_attribute(at, attribute, value)?;
            if attribute == attribute::FINGERPRINT {
                // It is the last one (RFC 8489 §14.7).
                if next != bytes.len() || value != fingerprint(&bytes[..at]) {
                    return Err(StunError::Fingerprint);
                }
                request.has_fingerprint = true;
            }
            at = next;
        }
        match kind {
            BINDING_REQUEST => Ok(Self::Request(request)),
            BINDING_INDICATION => Ok(Self::Indication),
            other => Err(StunError::Type(other)),
        }
    }
}

impl<'a> BindingRequest<'a> {
    fn new(bytes: &'a [u8], transaction: Transaction) -> Self {
        Self {
            bytes,
            transaction,
            username: None,
            integrity_at: None,
            has_fingerprint: false,
            use_candidate: false,
            claims_controlled: false,
            priority: 0,
            unknown: smallvec::SmallVec::new(),
        }
    }

    /// Notes one attribute. What follows MESSAGE-INTEGRITY is not authenticated and so ignored (RFC 8489 §14.5).
    fn take_attribute(&mut self, at: usize, attribute: u16, value: &'a [u8]) -> Result<(), StunError> {
        if self.integrity_at.is_some() {
            return Ok(());
        }
        match attribute {
            attribute::USERNAME => {
                self.username = Some(std::str::from_utf8(value).map_err(|_| StunError::Malformed)?);
            }
            attribute::MESSAGE_INTEGRITY if value.len() == INTEGRITY_LEN => self.integrity_at = Some(at),
            attribute::MESSAGE_INTEGRITY => return Err(StunError::Malformed),
            attribute::PRIORITY => {
                self.priority = u32::from_be_bytes(value.try_into().map_err(|_| StunError::Malformed)?);
            }
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLED => self.claims_controlled = true,
            attribute::MESSAGE_INTEGRITY_SHA256 | attribute::PASSWORD_ALGORITHM | attribute::USERHASH => {}
            unknown => {
                if unknown < attribute::OPTIONAL_FROM && self.unknown.len() < UNKNOWN_ATTRIBUTES_MAX {
                    self.unknown.push(unknown);
                }
            }
        }
        Ok(())
    }

    /// Whether there is a MESSAGE-INTEGRITY at all.
    pub(crate) fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY was made with this password. Compares in constant time.
    pub(crate) fn is_authentic(&self, password: &str) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let Some(mac) = integrity_mac(&self.bytes[..at], password) else {
            return false;
        };
        let value = &self.bytes[at + 4..at + 4 + INTEGRITY_LEN];
        mac.verify_slice(value).is_ok()
    }
}

fn read_header(bytes: &[u8]) -> Result<(u16, Transaction), StunError> {
    let header = bytes.first_chunk::<HEADER_LEN>().ok_or(StunError::Malformed)?;
    let [t0, t1, l0, l1, cookie @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *header;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if cookie != MAGIC_COOKIE || len % 4 != 0 || HEADER_LEN + len != bytes.len() {
        return Err(StunError::Malformed);
    }
    let mut transaction = Transaction([0; 12]);
    transaction.0.copy_from_slice(&header[8..]);
    Ok((u16::from_be_bytes([t0, t1]), transaction))
}

/// Type, value and where the next attribute starts.
fn read_attribute(bytes: &[u8], at: usize) -> Result<(u16, &[u8], usize), StunError> {
    let rest = bytes.get(at..).ok_or(StunError::Malformed)?;
    let ([t0, t1, l0, l1], rest) = rest.split_first_chunk::<4>().ok_or(StunError::Malformed)?;
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    let value = rest.get(..len).ok_or(StunError::Malformed)?;
    // The message is a multiple of four bytes long, so the padding fits when the value does.
    Ok((
        u16::from_be_bytes([*t0, *t1]),
        value,
        at + 4 + len.next_multiple_of(4),
    ))
}

/// HMAC-SHA1 of a message up to its MESSAGE-INTEGRITY, as if it ended with that (RFC 8489 §14.5).
fn integrity_mac(before: &[u8], password: &str) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).ok()?;
    let len = u16::try_from(before.len() + 4 + INTEGRITY_LEN - HEADER_LEN).ok()?;
    mac.update(before.get(..2)?);
    mac.update(&len.to_be_bytes());
    mac.update(before.get(4..)?);
    Some(mac)
}

/// Value of FINGERPRINT for a message that goes on with it; the length field counts it already.
fn fingerprint(before: &[u8]) -> [u8; 4] {
    (crc32(before) ^ FINGERPRINT_XOR).to_be_bytes()
}

/// CRC-32 of ITU V.42, as in Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    !bytes.iter().fold(!0, |crc, byte| {
        TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8)
    })
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests;
