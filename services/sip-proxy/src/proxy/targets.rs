//! Where calls go (RFC 3261 §16.5): to the carriers of a number, or to the VSPs of a user.

use super::identity::called_party;
use super::response_context::{Hunt, Side, Target};
use super::settings::{CalledNumber, Carrier, Peer};
use super::{Proxy, Refusal, Rejection};
use crate::dial_plan::{Assignment, CarrierId, Destination, Number, NumberError, UserName};
use offhook_sip_message::header::To;
use offhook_sip_message::{HeaderValue, Host, Message, StatusCode, Uri, UriBuf, UriBuilder};
use smallvec::SmallVec;
use std::net::SocketAddr;

pub(super) type Targets = SmallVec<[Target; 1]>;

/// Where a call goes.
pub(super) struct Destinations {
    /// In the order in which they are tried.
    pub(super) targets: Targets,
    /// How, if a number of ours was called.
    pub(super) hunt: Option<Hunt>,
    /// That number, for P-Called-Party-ID.
    pub(super) called: Option<HeaderValue>,
}

impl Proxy {
    /// From a VSP or a phone: to a user, to a number of ours, or to the carriers of the number. From a carrier: to what the number
    /// of ours is for.
    pub(super) fn destinations(
        &self,
        request: &Message,
        peer: Peer,
        source: SocketAddr,
    ) -> Result<Destinations, Rejection> {
        let uri = request.request_uri().and_then(Result::ok);
        let uri = uri.ok_or(Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed))?;
        let found = match peer {
            Peer::Vsp => self.dialled(&uri)?,
            Peer::Carrier(carrier) => self.called(request, &uri, carrier)?,
            Peer::Phone => self.dialled_by_phone(&uri, source)?,
        };
        if found.targets.is_empty() {
            return Err(Rejection::new(StatusCode::NOT_FOUND, Refusal::NoRoute));
        }
        Ok(found)
    }

    pub(super) fn dialled(&self, uri: &Uri<'_>) -> Result<Destinations, Rejection> {
        let plan = &self.settings.dial_plan;
        let targets = match (plan.user(uri), Number::of(uri)) {
            (Some(user), _) => self.user_targets(user, 0),
            (None, Ok(number)) => match plan.assignment(&number) {
                Some(assignment) => return Ok(self.assigned(&number, assignment)),
                None => self.number_targets(&number, 0),
            },
            // Whoever logs in with a token alone is known to the VSPs only.
            (None, Err(error)) => match UserName::of(uri).filter(|_| error == NumberError::Character) {
                Some(user) => self.user_targets(&user, 0),
                None => return Err(Rejection::new(error.status(), Refusal::BadNumber)),
            },
        };
        Ok(Destinations {
            targets,
            hunt: None,
            called: None,
        })
    }

    fn called(
        &self,
        request: &Message,
        uri: &Uri<'_>,
        CarrierId(carrier): CarrierId,
    ) -> Result<Destinations, Rejection> {
        let refused = |error: NumberError| Rejection::new(error.status(), Refusal::BadNumber);
        let not_found = || Rejection::new(StatusCode::NOT_FOUND, Refusal::NoRoute);
        let carrier = self.settings.carriers.get(carrier).ok_or_else(not_found)?;
        let number = match carrier.called_number {
            CalledNumber::RequestUri => Number::of(uri),
            CalledNumber::To => {
                let to: To<'_> = request
                    .require()
                    .map_err(|_| Rejection::new(StatusCode::BAD_REQUEST, Refusal::Malformed))?;
                Number::of(&to.uri)
            }
        };
        let number = number.map_err(refused)?.normalised(&carrier.inbound);
        let assignment = self
            .settings
            .dial_plan
            .assignment(&number)
            .ok_or_else(not_found)?;
        Ok(self.assigned(&number, assignment))
    }

    /// What a number of ours is for.
    fn assigned(&self, number: &Number, assignment: &Assignment) -> Destinations {
        let destinations = assignment.destinations.iter().enumerate();
        let targets = destinations.flat_map(|(group, destination)| match destination {
            Destination::User(user) => self.user_targets(user, group),
            Destination::Number(number) => self.number_targets(number, group),
        });
        let uri = UriBuilder::sip(Some(number.as_str().as_bytes()), self.host(), None).build();
        Destinations {
            targets: targets.collect(),
            hunt: Some(Hunt {
                ring_timeout: assignment.ring_timeout,
                next_on: assignment.next_on.iter().copied().collect(),
            }),
            called: uri.ok().and_then(|uri| called_party(uri.as_bytes())),
        }
    }

    fn number_targets(&self, number: &Number, group: usize) -> Targets {
        let carriers = self.settings.dial_plan.carriers(number).iter();
        carriers
            .filter_map(|carrier| self.carrier_target(*carrier, number, group))
            .flat_map(|target| self.at_each_server(target))
            .collect()
    }

    /// One target for each address of a carrier; one without an address while none is known.
    fn at_each_server(&self, target: Target) -> Targets {
        let carrier = target
            .carrier
            .and_then(|carrier| self.settings.carriers.get(carrier.0));
        let addresses = carrier.into_iter().flat_map(Carrier::addresses);
        let at = |address| Target {
            address: Some(address),
            ..target.clone()
        };
        let each: Targets = addresses.map(at).collect();
        match each.is_empty() {
            true => [target].into_iter().collect(),
            false => each,
        }
    }

    /// `None` if the carrier's rules leave nothing of the number.
    fn carrier_target(&self, id: CarrierId, number: &Number, group: usize) -> Option<Target> {
        let carrier = self.settings.carriers.get(id.0)?;
        let number = number.rewritten(carrier.strip, &carrier.prepend)?;
        let target = carrier.target.uri();
        let plain = UriBuilder::sip(Some(number.as_bytes()), target.host()?, target.port())
            .build()
            .ok()?;
        let request_uri = match target.params().as_bytes() {
            [] => plain,
            params => UriBuf::new([plain.as_bytes(), params].concat()).ok()?,
        };
        Some(Target {
            address: None,
            carrier: Some(id),
            request_uri: Some(request_uri),
            group,
            side: Side::Outside,
            phone: None,
            user: None,
        })
    }

    /// Each VSP in turn: without shared state only the VSP itself knows whose sessions it has. The user's phones ring at
    /// once with the first.
    fn user_targets(&self, user: &UserName, group: usize) -> Targets {
        let counted = self.limits.counted(user.as_str());
        let target = |vsp: &SocketAddr| {
            let (host, port) = match &self.settings.domain {
                Some(_) => (self.host(), None),
                None => (Host::from(vsp.ip()), Some(vsp.port())),
            };
            let uri = UriBuilder::sip(Some(user.as_str().as_bytes()), host, port);
            Some(Target {
                address: Some(*vsp),
                carrier: None,
                request_uri: Some(uri.build().ok()?),
                group,
                side: Side::User,
                phone: None,
                user: counted,
            })
        };
        let mut vsps = self.settings.vsps.iter().filter_map(target);
        let first: Option<Target> = vsps.next();
        let phones = self.registrar.phones(user).iter().map(|phone| Target {
            address: Some(phone.address),
            carrier: None,
            request_uri: Some(phone.contact.clone()),
            group,
            side: Side::Phone,
            phone: Some(phone.to_ref()),
            user: counted,
        });
        first.into_iter().chain(phones).chain(vsps).collect()
    }

    /// Our domain, or else our address.
    pub(super) fn host(&self) -> Host<'_> {
        let domain = self.settings.domain.as_deref();
        let domain = domain.and_then(|domain| Host::new(domain.as_bytes()));
        domain.unwrap_or(Host::from(self.settings.address.ip()))
    }
}
