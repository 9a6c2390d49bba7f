//! Where the registrars of accounts are: found by DNS (RFC 3263), with the next address when one does not answer, and asked
//! for anew when none does.

use super::{Server, TimerKey};
use crate::output::Output;
use crate::settings::Registrar;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long until DNS is asked again after it knew nothing.
const LOCATE_AGAIN: Duration = Duration::from_secs(30);
/// How long until DNS is asked again after nobody answered: neither name server nor registrar shall be overrun.
const RELOCATE: Duration = Duration::from_secs(5);

/// Where one domain is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// In the order in which to try.
    addresses: Vec<SocketAddr>,
    /// The one that is used.
    at: usize,
    /// DNS is being asked.
    asked: bool,
}

impl Place {
    fn current(&self) -> Option<SocketAddr> {
        self.addresses.get(self.at).copied()
    }
}

/// What to do when a registrar did not answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try this address at once.
    Now(SocketAddr),
    /// There is no other for now.
    Later,
}

impl Server {
    /// Where requests to a registrar go; `None` while nobody knows.
    pub(super) fn address_of(&self, registrar: &Registrar) -> Option<SocketAddr> {
        registrar
            .address
            .or_else(|| self.places.get(&registrar.domain)?.current())
    }

    /// Whether DNS is being asked for it.
    pub(super) fn is_being_located(&self, registrar: &Registrar) -> bool {
        registrar.address.is_none()
            && self
                .places
                .get(&registrar.domain)
                .is_some_and(|place| place.asked)
    }

    /// Whether a registrar may send from there: any of its addresses may bring a call.
    pub(super) fn is_at(&self, registrar: &Registrar, source: IpAddr) -> bool {
        let found = self.places.get(&registrar.domain);
        let found = found.into_iter().flat_map(|place| &place.addresses);
        let mut known = registrar.address.iter().chain(found);
        known.any(|address| address.ip().to_canonical() == source.to_canonical())
    }

    /// Asks DNS, unless it is being asked, or nobody needs to know any more.
    pub(super) fn locate(&mut self, domain: &str) {
        let needed = self.accounts.keys().any(|user| {
            let registrar = self.registrar_of(user);
            registrar.is_some_and(|registrar| registrar.address.is_none() && registrar.domain == domain)
        });
        if !needed {
            return;
        }
        let place = self.places.entry(domain.to_owned()).or_default();
        if !std::mem::replace(&mut place.asked, true) {
            let domain = domain.to_owned();
            self.outputs.push_back(Output::Locate { domain });
        }
    }

    /// DNS has answered. Without an answer the addresses of before still count.
    pub(super) fn on_located(&mut self, now: Instant, domain: &str, addresses: Vec<SocketAddr>) {
        let Some(place) = self.places.get_mut(domain) else {
            return;
        };
        place.asked = false;
        // Whoever was tried in vain just now has its time to come back.
        let at_once = addresses.iter().any(|found| !place.addresses.contains(found));
        if addresses.is_empty() {
            tracing::warn!(
                domain,
                "DNS knows no address of the registrar; asking again in half a minute"
            );
            let timer = TimerKey::Locate(domain.to_owned());
            self.deadlines.set(timer, now + LOCATE_AGAIN);
        } else {
            tracing::debug!(domain, ?addresses, "the registrar is located");
            (place.addresses, place.at) = (addresses, 0);
        }
        let users: Vec<String> = self.accounts.keys().cloned().collect();
        for user in users {
            let registrar = self.registrar_of(&user);
            if registrar.is_some_and(|it| it.address.is_none() && it.domain == domain) {
                self.move_account(now, &user, at_once);
            }
        }
    }

    /// Nobody answered at `tried`. When all addresses had their turn, DNS is asked whether there are others by now.
    pub(super) fn next_address(&mut self, now: Instant, domain: &str, tried: SocketAddr) -> Next {
        let Some(place) = self.places.get_mut(domain) else {
            return Next::Later;
        };
        if place.current() == Some(tried) {
            place.at += 1;
        }
        match place.current() {
            // Another account has found the way already, or there is one more.
            Some(address) => Next::Now(address),
            None => {
                place.at = 0;
                let timer = TimerKey::Locate(domain.to_owned());
                self.deadlines.set(timer, now + RELOCATE);
                Next::Later
            }
        }
    }
}
