//! Who a phone is (RFC 3261 §22, RFC 7616): challenges, and what those who guess passwords meet.

use super::settings::Settings;
use super::{Proxy, Refusal, Rejection};
use crate::dial_plan::UserName;
use offhook_sip::digest::{VerifyError, challenge, verify};
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip_message::header::{Algorithm, Credentials, Header};
use offhook_sip_message::{HeaderName, Message, StatusCode, Token, respond};
use rand::RngExt;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Challenges that wait for their answer. Over it the oldest is forgotten, and its phone challenged anew.
const NONCES_MAX: usize = 4096;
/// How long a challenge may be answered. Each is good for one answer.
const NONCE_LIFETIME: Duration = Duration::from_secs(60);
/// Wrong answers of one address within [`FAILURES_WITHIN`]; further ones are not looked at. An office behind one address has
/// a few phones that nobody has told the new password.
const FAILURES_MAX: u32 = 20;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);
/// Addresses whose wrong answers are counted, about 40 bytes each. Beyond it only [`super::floods`] holds.
const FAILING_MAX: usize = 10_000;

/// Challenges that were given out.
#[derive(Debug, Default)]
pub(super) struct Nonces(VecDeque<(String, Instant)>);

impl Nonces {
    fn keep(&mut self, now: Instant, nonce: String) {
        let old = |(_, given): &(String, Instant)| now.duration_since(*given) >= NONCE_LIFETIME;
        while self.0.len() >= NONCES_MAX || self.0.front().is_some_and(old) {
            self.0.pop_front();
        }
        self.0.push_back((nonce, now));
    }

    /// Whether this was given out a moment ago; from now on it is good no more.
    fn take(&mut self, now: Instant, nonce: &[u8]) -> Option<String> {
        let at = self.0.iter().position(|(given, _)| given.as_bytes() == nonce)?;
        let (nonce, given) = self.0.remove(at)?;
        (now.duration_since(given) < NONCE_LIFETIME).then_some(nonce)
    }
}

/// Wrong answers by address, and since when they are counted.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, (Instant, u32)>);

impl Failures {
    fn are_too_many(&self, now: Instant, source: IpAddr) -> bool {
        let counted = self.0.get(&source);
        counted.is_some_and(|(since, count)| {
            *count >= FAILURES_MAX && now.duration_since(*since) < FAILURES_WITHIN
        })
    }

    fn count(&mut self, now: Instant, source: IpAddr) {
        let over = |since: Instant| now.duration_since(since) >= FAILURES_WITHIN;
        if self.0.len() >= FAILING_MAX {
            self.0.retain(|_, (since, _)| !over(*since));
        }
        if self.0.len() >= FAILING_MAX && !self.0.contains_key(&source) {
            return;
        }
        let (since, count) = self.0.entry(source).or_insert((now, 0));
        if over(*since) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
    }
}

impl Proxy {
    /// The user whose name and password for phones stand behind a request. With `PROXY` it is proven to us as a proxy (407).
    /// Strangers and wrong passwords look the same.
    pub(super) fn prove<const PROXY: bool>(
        &mut self,
        now: Instant,
        request: &Message,
        source: SocketAddr,
    ) -> Result<UserName, Rejection>
    where
        for<'a> Credentials<'a, PROXY>: Header<'a>,
    {
        let realm = realm(&self.settings).to_owned();
        // A phone may bring credentials for other realms as well.
        let all = request.all::<Credentials<'_, PROXY>>().flatten();
        let ours =
            |given: &Credentials<'_, PROXY>| given.params.get("realm").as_deref() == Some(realm.as_bytes());
        let Some(credentials) = all.into_iter().find(ours) else {
            return Err(self.new_challenge::<PROXY>(now, false));
        };
        if self.failures.are_too_many(now, source.ip()) {
            return Err(Rejection::unavailable(Refusal::Rate));
        }
        let nonce = credentials.params.get("nonce").unwrap_or_default();
        let Some(nonce) = self.nonces.take(now, &nonce) else {
            return Err(self.new_challenge::<PROXY>(now, true));
        };
        let name = credentials.params.get("username").unwrap_or_default();
        let user = std::str::from_utf8(&name).ok().and_then(UserName::new);
        let known = user.and_then(|user| Some((self.settings.phones.get(&user)?, user)));
        let password_of = |_: &[u8]| {
            known
                .as_ref()
                .map(|(phone, _)| phone.credentials.password.clone())
        };
        let Some(method) = request.method() else {
            return Err(Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed));
        };
        match (verify(&credentials, method, &realm, &nonce, password_of), known) {
            (Ok(_), Some((_, user))) => Ok(user),
            (Err(VerifyError::OtherChallenge), _) => Err(self.new_challenge::<PROXY>(now, false)),
            (Ok(_), None) | (Err(VerifyError::Malformed | VerifyError::Wrong), _) => {
                self.failures.count(now, source.ip());
                Err(Rejection::new(StatusCode::FORBIDDEN, Refusal::Credentials))
            }
        }
    }

    /// MD5, for phones know nothing else; the password itself is never sent.
    fn new_challenge<const PROXY: bool>(&mut self, now: Instant, stale: bool) -> Rejection {
        let nonce = format!("{:032x}", self.rng.random::<u128>());
        let value = challenge(realm(&self.settings), &nonce, Algorithm::Md5, stale);
        self.nonces.keep(now, nonce);
        let (status, name) = match PROXY {
            true => (
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                HeaderName::ProxyAuthenticate,
            ),
            false => (StatusCode::UNAUTHORIZED, HeaderName::WwwAuthenticate),
        };
        Rejection::new(status, Refusal::Credentials).with(name, value)
    }

    /// A challenge is no refusal: every registration and every call begins with one.
    pub(super) fn challenge(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: &Message,
        rejection: &Rejection,
    ) {
        let tag = self.layer.tag();
        let mut builder = respond(request, rejection.status, Token::new(tag.as_bytes()).ok());
        if let Some((name, value)) = &rejection.header {
            builder = builder.header(*name, value);
        }
        self.answer(now, id, builder);
    }
}

fn realm(settings: &Settings) -> &str {
    settings.domain.as_deref().unwrap_or("offhook")
}
