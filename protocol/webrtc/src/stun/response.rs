//! Responses to binding requests.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use super::{BindingRequest, HEADER_LEN, INTEGRITY_LEN, MAGIC_COOKIE, Message, Transaction, attribute};
use super::{fingerprint, integrity_mac};

const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Room that [`answer_plain_request`] needs, in bytes: header, an IPv6 address, FINGERPRINT.
pub const PLAIN_RESPONSE_LEN_MAX: usize = HEADER_LEN + 24 + 8;

/// Answers a binding request without credentials with where it came from, as a STUN server does (RFC 8489 §7.3.1).
/// Stateless. Writes into `out` and returns the length; None if `datagram` is anything else, an ICE check among it.
pub fn answer_plain_request(
    datagram: &[u8],
    source: SocketAddr,
    out: &mut [u8; PLAIN_RESPONSE_LEN_MAX],
) -> Option<usize> {
    let Ok(Message::Request(request)) = Message::parse(datagram) else {
        return None;
    };
    if request.username.is_some() || request.has_integrity() || !request.unknown.is_empty() {
        return None;
    }
    let mut response = Response::begin(BINDING_SUCCESS, request.transaction);
    response.xor_mapped_address(source);
    if request.has_fingerprint {
        response.fingerprint();
    }
    let bytes = response.bytes;
    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(bytes.len())
}

/// Error responses that a lite agent gives (RFC 8489 §14.8, RFC 8445 §7.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// USERNAME or MESSAGE-INTEGRITY is missing.
    BadRequest,
    /// USERNAME or MESSAGE-INTEGRITY is wrong.
    Unauthenticated,
    /// An attribute has to be understood and is not.
    UnknownAttribute,
    /// The peer believes to be controlled; we are always.
    RoleConflict,
}

impl ErrorCode {
    fn number_and_reason(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthenticated => (401, "Unauthenticated"),
            Self::UnknownAttribute => (420, "Unknown Attribute"),
            Self::RoleConflict => (487, "Role Conflict"),
        }
    }
}

impl BindingRequest<'_> {
    /// Success with the source address, signed.
    pub(crate) fn accept(&self, source: SocketAddr, password: &str) -> Vec<u8> {
        let mut response = Response::begin(BINDING_SUCCESS, self.transaction);
        response.xor_mapped_address(source);
        response.integrity(password);
        response.fingerprint();
        response.bytes
    }

    /// An error; signed if the request was authentic and so its sender knows the password.
    pub(crate) fn refuse(&self, code: ErrorCode, password: Option<&str>) -> Vec<u8> {
        let mut response = Response::begin(BINDING_ERROR, self.transaction);
        response.error_code(code);
        if code == ErrorCode::UnknownAttribute {
            response.unknown_attributes(&self.unknown);
        }
        if let Some(password) = password {
            response.integrity(password);
        }
        if self.has_fingerprint {
            response.fingerprint();
        }
        response.bytes
    }
}

/// A response being written. Its length field is right after each attribute.
struct Response {
    bytes: Vec<u8>,
}

impl Response {
    fn begin(kind: u16, transaction: Transaction) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction.0);
        Self { bytes }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.set_len(self.bytes.len());
    }

    fn set_len(&mut self, message_len: usize) {
        let len = (message_len - HEADER_LEN) as u16;
        self.bytes[2..4].copy_from_slice(&len.to_be_bytes());
    }

    /// Port XOR the cookie's first half; address XOR cookie and transaction (RFC 8489 §14.2).
    fn xor_mapped_address(&mut self, address: SocketAddr) {
        let mut value = [0; 20];
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        value[2..4].copy_from_slice(&port.to_be_bytes());
        // A dual-stack socket shows IPv4 peers as mapped IPv6 addresses, which the peer would not recognise as its own.
        let len = match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                value[1] = 1;
                value[4..8].copy_from_slice(&ip.octets());
                8
            }
            IpAddr::V6(ip) => {
                value[1] = 2;
                value[4..].copy_from_slice(&ip.octets());
                20
            }
        };
        let mask = &self.bytes[4..HEADER_LEN];
        for (byte, mask) in value[4..len].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        self.attribute(attribute::XOR_MAPPED_ADDRESS, &value[..len]);
    }

    fn error_code(&mut self, code: ErrorCode) {
        let (number, reason) = code.number_and_reason();
        let mut value = vec![0, 0, (number / 100) as u8, (number % 100) as u8];
        value.extend(reason.as_bytes());
        self.attribute(attribute::ERROR_CODE, &value);
    }

    fn unknown_attributes(&mut self, unknown: &[u16]) {
        let value: Vec<u8> = unknown
            .iter()
            .flat_map(|attribute| attribute.to_be_bytes())
            .collect();
        self.attribute(attribute::UNKNOWN_ATTRIBUTES, &value);
    }

    fn integrity(&mut self, password: &str) {
        let mac = integrity_mac(&self.bytes, password).expect("a response is a whole, short message");
        let digest = mac.finalize().into_bytes();
        debug_assert_eq!(digest.len(), INTEGRITY_LEN);
        self.attribute(attribute::MESSAGE_INTEGRITY, &digest);
    }

    fn fingerprint(&mut self) {
        self.set_len(self.bytes.len() + 8);
        let value = fingerprint(&self.bytes);
        self.attribute(attribute::FINGERPRINT, &value);
    }
}
