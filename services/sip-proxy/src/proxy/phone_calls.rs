//! Calls that phones of our users place, and where their phones are while a call runs.

use super::limits::CountedUser;
use super::settings::{Latching, Peer};
use super::targets::Destinations;
use super::{Output, Proxy, Refusal, Rejection};
use crate::dial_plan::UserName;
use bytes::Bytes;
use offhook_sip_message::header::From;
use offhook_sip_message::{HeaderValue, Message, StatusCode, Token, Uri, UriBuf, UriBuilder};
use std::net::SocketAddr;
use std::time::Instant;

/// What a phone sends to keep its way through a NAT open, and what it gets (RFC 5626 §3.5.1).
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

/// A phone that takes part in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PhoneRef {
    /// Of its registration.
    pub(super) number: u64,
    /// It is not where it believes to be.
    pub(super) is_behind_nat: bool,
}

impl PhoneRef {
    /// Whose media packets are the phone's.
    pub(super) fn latching(self) -> Option<Latching> {
        self.is_behind_nat.then_some(Latching::Any)
    }
}

/// A user of ours who calls from a phone.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) phone: PhoneRef,
    /// The From that those called see.
    pub(super) from: HeaderValue,
    /// For those who may know it (RFC 3325).
    pub(super) asserted: HeaderValue,
    pub(super) is_hidden: bool,
    /// Whose calls it counts as.
    pub(super) counted: Option<CountedUser>,
}

impl Proxy {
    /// Whoever calls, if that has to be proven: a phone does so with its user's password.
    pub(super) fn caller(
        &mut self,
        now: Instant,
        request: &Message,
        source: SocketAddr,
        peer: Peer,
    ) -> Result<Option<Caller>, Rejection> {
        if peer != Peer::Phone {
            return Ok(None);
        }
        let user = self.prove::<true>(now, request, source)?;
        let own = self.registrar.phones(&user).iter();
        let phone = own
            .filter(|phone| phone.address == source)
            .map(|phone| phone.to_ref())
            .next();
        let phone = phone.ok_or(Rejection::new(StatusCode::FORBIDDEN, Refusal::Phones))?;
        let limit = self.settings.phone_calls_per_second;
        if !self.limits.admit_phone(now, &user, limit) {
            return Err(Rejection::unavailable(Refusal::Rate));
        }
        let malformed = || Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed);
        let from: From<'_> = request.require().map_err(|_| malformed())?;
        self.caller_of(&user, phone, &from)
            .map(Some)
            .ok_or_else(malformed)
    }

    fn caller_of(&self, user: &UserName, phone: PhoneRef, from: &From<'_>) -> Option<Caller> {
        let settings = self.settings.phones.get(user)?;
        let asked = from.uri.user_unescaped().unwrap_or_default();
        let number = settings.caller(user, &asked);
        let uri = UriBuilder::sip(Some(number.as_bytes()), self.host(), None)
            .build()
            .ok()?;
        let asserted = HeaderValue::new([b"<", uri.as_bytes(), b">"].concat()).ok()?;
        let shown = match (from.display, &settings.display_name) {
            (b"", Some(name)) => quoted(name),
            (given, _) => given.to_vec(),
        };
        let tag = from.tag().filter(|tag| Token::new(tag).is_ok())?;
        let from = HeaderValue::new([&shown[..], b" <", uri.as_bytes(), b">;tag=", tag].concat()).ok()?;
        Some(Caller {
            phone,
            from,
            asserted,
            is_hidden: settings.hide_caller,
            counted: self.limits.counted(user.as_str()),
        })
    }

    /// What a phone has dialled: the same as at a VSP, but only with us, and never itself.
    pub(super) fn dialled_by_phone(
        &self,
        uri: &Uri<'_>,
        source: SocketAddr,
    ) -> Result<Destinations, Rejection> {
        // Without a domain of ours a phone may know us by any name.
        if self.settings.domain.is_some() && !self.settings.is_own(uri) {
            return Err(Rejection::new(StatusCode::NOT_FOUND, Refusal::NoRoute));
        }
        let mut found = self.dialled(uri)?;
        let is_caller = |address| address == Some(source);
        found
            .targets
            .retain(|target| target.phone.is_none() || !is_caller(target.address));
        Ok(found)
    }

    /// Phones ask whether the way is still open; others are not answered.
    pub(super) fn answer_keep_alive(&mut self, now: Instant, source: SocketAddr, datagram: &Bytes) {
        if *datagram == PING && self.registrar.is_phone(source) && self.floods.admits(now, source.ip()) {
            self.outputs.push_back(Output::Transmit {
                to: source,
                bytes: Bytes::from_static(PONG),
            });
        }
    }
}

/// As a display name (RFC 3261 §25.1).
fn quoted(name: &str) -> Vec<u8> {
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"").into_bytes()
}

/// Whether a phone is elsewhere than it believes: its Contact names another address than its packets come from.
pub(super) fn is_behind_nat(contact: &UriBuf, source: SocketAddr) -> bool {
    let uri = contact.uri();
    let believed = uri.host().and_then(|host| host.ip());
    believed.is_some_and(|ip| SocketAddr::new(ip, uri.port_or_default()) != source)
}
