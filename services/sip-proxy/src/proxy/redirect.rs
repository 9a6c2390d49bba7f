//! 3xx of carriers (RFC 3261 §8.1.3.4, §16.7 step 4): followed where the operator says so, else passed on.

use super::Proxy;
use super::response_context::{ResponseContext, Scope, Side, State, Target};
use super::settings::Settings;
use offhook_sip::transaction::{ClientTransactionId, ServerTransactionId};
use offhook_sip_message::header::Contact;
use offhook_sip_message::{Message, Scheme, UriBuf, UriBuilder};
use smallvec::SmallVec;
use std::time::Instant;

/// Redirects of one call that are followed: two carriers that point at each other end there.
const REDIRECTS_MAX: usize = 5;

/// Addresses of one redirect that are tried.
const CONTACTS_MAX: usize = 5;

impl Proxy {
    /// Tries where the carrier points to, if that is a carrier that we know; `false` if the response is to be judged.
    pub(super) fn follow_redirect(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        response: &Message,
    ) -> bool {
        let settings = &self.settings;
        let Some(context) = self.contexts.get_mut(&id) else {
            return false;
        };
        let proceeding = context.state == State::Proceeding && !context.giving_up;
        if !proceeding || context.scope != Scope::Initial || context.redirects >= REDIRECTS_MAX {
            return false;
        }
        let Some(group) = context.branch(client).and_then(|branch| {
            let carrier = settings.carriers.get(branch.target.carrier?.0)?;
            carrier.follow_redirects.then_some(branch.target.group)
        }) else {
            return false;
        };
        let mut found = contacts(settings, context, group, response);
        if found.is_empty() {
            return false;
        }
        found.reverse();
        context.redirects += 1;
        context.targets.extend(found);
        self.counts.redirects_total += 1;
        self.try_next(now, id);
        true
    }
}

/// The Contacts at carriers that we know and that were not tried, best first.
fn contacts(
    settings: &Settings,
    context: &ResponseContext,
    group: usize,
    response: &Message,
) -> SmallVec<[Target; 1]> {
    let mut contacts: SmallVec<[(u16, Target); 2]> = SmallVec::new();
    for contact in response.all::<Contact<'_>>().flatten().take(CONTACTS_MAX) {
        let Some(address) = contact.address() else {
            continue;
        };
        let uri = address.uri;
        let Some((carrier, at)) = settings.carrier_of(&uri).filter(|_| uri.scheme() == Scheme::Sip) else {
            continue;
        };
        // Only user, host and port: headers and parameters of a URI could add to our request what we don't want there.
        let plain: Option<UriBuf> = uri.host().and_then(|host| {
            UriBuilder::sip(uri.user_unescaped().as_deref(), host, uri.port())
                .build()
                .ok()
        });
        let tried = |plain: &UriBuf| {
            let branches = context.branches.iter();
            branches
                .filter_map(|branch| branch.target.request_uri.as_ref())
                .any(|uri| uri.as_bytes() == plain.as_bytes())
        };
        if let Some(plain) = plain.filter(|plain| !tried(plain)) {
            let target = Target {
                address: Some(at),
                carrier: Some(carrier),
                request_uri: Some(plain),
                group,
                side: Side::Outside,
                phone: None,
                user: None,
            };
            contacts.push((priority(address.params.get("q")), target));
        }
    }
    contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    contacts.into_iter().map(|(_, target)| target).collect()
}

/// `q` in thousandths (§20.10); 1 if there is none.
fn priority(q: Option<&[u8]>) -> u16 {
    let text = q.and_then(|q| std::str::from_utf8(q).ok());
    let q = text.and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
    (q.clamp(0.0, 1.0) * 1000.0) as u16
}
