//! SIP phones of our users: who has registered from where (RFC 3261 §10.3, RFC 7616). In memory: after a restart phones
//! come back when their registration would end.

use super::phone_calls::{PhoneRef, is_behind_nat};
use super::{Proxy, Refusal, Rejection};
use crate::dial_plan::UserName;
use offhook_sip::transaction::ServerTransactionId;
use offhook_sip_message::header::{CSeq, Contact, Expires, To};
use offhook_sip_message::{
    HeaderName, HeaderValue, Message, MessageBuilder, StatusCode, Token, UriBuf, respond,
};
use rand::RngExt;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Phones of one user: a desk, a pocket, a few rooms. Each rings with every call.
const PHONES_PER_USER_MAX: usize = 8;
/// REGISTERs of strangers per second that are looked at; others meet silence and come again.
const STRANGERS_PER_SECOND_MAX: u32 = 200;
/// Shortest and longest lifetime of a registration, seconds. Refreshes more often only cost.
const EXPIRES_S_MIN: u32 = 60;
const EXPIRES_S_MAX: u32 = 3600;
/// Lifetime when the phone asks for none.
const EXPIRES_S_DEFAULT: u32 = 600;
/// Longest Contact that is kept, bytes: it stands in the request line of each call.
const CONTACT_LEN_MAX: usize = 512;

/// Registered phones.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    bindings: HashMap<UserName, Vec<Binding>>,
    /// When each binding ends.
    expiries: BTreeSet<(Instant, u64)>,
    /// Whose binding has this number.
    owners: HashMap<u64, UserName>,
    /// How many bindings are at an address.
    sources: HashMap<SocketAddr, usize>,
    strangers: (Option<Instant>, u32),
}

/// Where a phone is.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    /// Random, for Record-Route remembers it, also beyond a restart.
    number: u64,
    /// What it wants to be called by.
    pub(super) contact: UriBuf,
    /// Where its REGISTER came from: through a NAT that is the only way to it.
    pub(super) address: SocketAddr,
    call_id: Vec<u8>,
    cseq: u32,
    expires: Instant,
}

impl Binding {
    /// Whether the wish is about this phone (§10.3 step 7: by the rules of §19.1.4).
    fn is(&self, wish: &Wish) -> bool {
        self.contact.uri().is_equivalent(&wish.contact.uri())
    }

    /// The phone as a part of a call.
    pub(super) fn to_ref(&self) -> PhoneRef {
        PhoneRef {
            number: self.number,
            is_behind_nat: is_behind_nat(&self.contact, self.address),
        }
    }
}

impl Registrar {
    /// Where the phone is that has this number.
    pub(super) fn address_of(&self, number: u64) -> Option<SocketAddr> {
        let owner = self.owners.get(&number)?;
        let phone = self.phones(owner).iter().find(|phone| phone.number == number);
        phone.map(|phone| phone.address)
    }

    /// The phones of a user.
    pub(super) fn phones(&self, user: &UserName) -> &[Binding] {
        self.bindings.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether a phone has registered from `address`.
    pub(super) fn is_phone(&self, address: SocketAddr) -> bool {
        self.sources.contains_key(&address)
    }

    /// All phones.
    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether one more REGISTER of a stranger is looked at in this second.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let (since, seen) = &mut self.strangers;
        if since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (*since, *seen) = (Some(now), 0);
        }
        *seen += 1;
        *seen <= STRANGERS_PER_SECOND_MAX
    }

    /// When [`Registrar::expire`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Forgets phones whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, number)) = self.expiries.first().copied()
            && at <= now
        {
            if let Some(user) = self.owners.get(&number).cloned() {
                self.remove(&user, number);
            }
        }
    }

    fn remove(&mut self, user: &UserName, number: u64) {
        let Some(bindings) = self.bindings.get_mut(user) else {
            return;
        };
        let Some(at) = bindings.iter().position(|binding| binding.number == number) else {
            return;
        };
        let gone = bindings.swap_remove(at);
        if bindings.is_empty() {
            self.bindings.remove(user);
        }
        self.owners.remove(&number);
        self.expiries.remove(&(gone.expires, number));
        if let Some(count) = self.sources.get_mut(&gone.address) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&gone.address);
            }
        }
    }

    /// False if the user has as many phones as may be.
    fn add(&mut self, user: &UserName, binding: Binding) -> bool {
        if self.phones(user).len() >= PHONES_PER_USER_MAX || self.owners.contains_key(&binding.number) {
            return false;
        }
        self.owners.insert(binding.number, user.clone());
        self.expiries.insert((binding.expires, binding.number));
        *self.sources.entry(binding.address).or_default() += 1;
        self.bindings.entry(user.clone()).or_default().push(binding);
        true
    }
}

/// What a REGISTER asks for, once it is known whose it is.
struct Wish {
    contact: UriBuf,
    expires_s: u32,
}

impl Proxy {
    /// Whether phones can register at all.
    pub(super) fn has_registrar(&self) -> bool {
        !self.settings.phones.is_empty()
    }

    pub(super) fn handle_register(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        request: Message,
        source: SocketAddr,
    ) {
        match self.register(now, &request, source) {
            Ok(user) => {
                let tag = self.layer.tag();
                let builder = respond(&request, StatusCode::OK, Token::new(tag.as_bytes()).ok());
                let builder = self.list_phones(now, builder, &user);
                self.answer(now, id, builder);
            }
            Err(rejection) => self.reject(now, id, &request, source, rejection),
        }
    }

    /// Whose phones were changed as asked.
    fn register(
        &mut self,
        now: Instant,
        request: &Message,
        source: SocketAddr,
    ) -> Result<UserName, Rejection> {
        let malformed = || Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed);
        let to: To<'_> = request.require().map_err(|_| malformed())?;
        let cseq: CSeq = request.require().map_err(|_| malformed())?;
        let call_id = request.first(HeaderName::CallId).ok_or_else(malformed)?;
        let user = UserName::of(&to.uri).ok_or_else(malformed)?;
        if self.prove::<false>(now, request, source)? != user {
            return Err(Rejection::new(StatusCode::FORBIDDEN, Refusal::Credentials));
        }
        let contacts: Vec<Contact<'_>> = request.all().collect::<Result<_, _>>().map_err(|_| malformed())?;
        let asked_s = request
            .get::<Expires>()
            .and_then(Result::ok)
            .map(|expires| expires.0);
        if contacts.iter().any(|contact| contact.address().is_none()) {
            // `*` removes all, and stands alone (§10.2.2).
            if contacts.len() != 1 || asked_s != Some(0) {
                return Err(malformed());
            }
            let numbers: Vec<_> = self
                .registrar
                .phones(&user)
                .iter()
                .map(|phone| phone.number)
                .collect();
            for number in numbers {
                self.registrar.remove(&user, number);
            }
            return Ok(user);
        }
        let wishes = contacts
            .iter()
            .filter_map(|contact| {
                let expires_s = contact.expires().or(asked_s).unwrap_or(EXPIRES_S_DEFAULT);
                let contact = contact.address()?.uri.to_buf();
                Some(Wish { contact, expires_s })
            })
            .collect::<Vec<_>>();
        // All or nothing (§10.3 step 7): so that is looked at first.
        if wishes
            .iter()
            .any(|wish| wish.contact.as_bytes().len() > CONTACT_LEN_MAX)
        {
            return Err(malformed());
        }
        if wishes
            .iter()
            .any(|wish| (1..EXPIRES_S_MIN).contains(&wish.expires_s))
        {
            let brief = Rejection::new(StatusCode::INTERVAL_TOO_BRIEF, Refusal::Interval);
            return Err(brief.with(HeaderName::MinExpires, Some(HeaderValue::number(EXPIRES_S_MIN))));
        }
        let is_new = |wish: &&Wish| !self.registrar.phones(&user).iter().any(|phone| phone.is(wish));
        let (going, staying): (Vec<Wish>, Vec<Wish>) =
            wishes.into_iter().partition(|wish| wish.expires_s == 0);
        let gone = going.iter().filter(|wish| !is_new(wish)).count();
        let left = self.registrar.phones(&user).len().saturating_sub(gone);
        if left + staying.iter().filter(is_new).count() > PHONES_PER_USER_MAX {
            return Err(Rejection::new(StatusCode::FORBIDDEN, Refusal::Phones));
        }
        for wish in going.into_iter().chain(staying) {
            self.bind(now, &user, wish, source, (call_id, cseq.number))?;
        }
        Ok(user)
    }

    /// One phone comes, stays or goes.
    fn bind(
        &mut self,
        now: Instant,
        user: &UserName,
        wish: Wish,
        source: SocketAddr,
        (call_id, cseq): (&[u8], u32),
    ) -> Result<(), Rejection> {
        let phones = self.registrar.phones(user).iter();
        let known = phones
            .filter(|phone| phone.is(&wish))
            .map(|phone| (phone.number, phone.call_id == call_id && phone.cseq >= cseq))
            .next();
        let mut number = self.rng.random();
        if let Some((own, late)) = known {
            if late {
                // An older request that was overtaken (§10.3 step 7).
                return Ok(());
            }
            self.registrar.remove(user, own);
            number = own;
        }
        if wish.expires_s == 0 {
            return Ok(());
        }
        let lifetime = Duration::from_secs(wish.expires_s.min(EXPIRES_S_MAX).into());
        let binding = Binding {
            number,
            contact: wish.contact,
            address: source,
            call_id: call_id.to_vec(),
            cseq,
            expires: now + lifetime,
        };
        match self.registrar.add(user, binding) {
            true => Ok(()),
            false => Err(Rejection::new(StatusCode::FORBIDDEN, Refusal::Phones)),
        }
    }

    fn list_phones(&self, now: Instant, builder: MessageBuilder, user: &UserName) -> MessageBuilder {
        let phones = self.registrar.phones(user).iter();
        phones.fold(builder, |builder, phone| {
            let left_s = phone.expires.saturating_duration_since(now).as_secs();
            let mut value = b"<".to_vec();
            value.extend_from_slice(phone.contact.as_bytes());
            value.extend_from_slice(format!(">;expires={left_s}").as_bytes());
            match HeaderValue::new(value) {
                Ok(value) => builder.header(HeaderName::Contact, &value),
                Err(_) => builder,
            }
        })
    }
}
