//! Answers carriers' challenges in the caller's place (RFC 3261 §22).

use super::branch::record_route;
use super::forward::Forward;
use super::response_context::Scope;
use super::{CarrierFailure, Proxy};
use offhook_sip::digest::Authenticator;
use offhook_sip::transaction::{ClientTransactionId, ServerTransactionId};
use offhook_sip_message::{HeaderName, HeaderValue, Message};
use std::time::Instant;

impl Proxy {
    /// Sends the request again with credentials, as a new branch with the next CSeq (§22.2).
    pub(super) fn answer_challenge(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        response: &Message,
    ) -> Result<(), CarrierFailure> {
        let cnonce = self.layer.tag();
        let context = self.contexts.get_mut(&id).ok_or(CarrierFailure::NoCredentials)?;
        let branch = context.branch(client).ok_or(CarrierFailure::NoCredentials)?;
        let carrier = branch.target.carrier.ok_or(CarrierFailure::NoCredentials)?;
        let known = self
            .settings
            .carriers
            .get(carrier.0)
            .and_then(|carrier| carrier.credentials.clone());
        let known = known.ok_or(CarrierFailure::NoCredentials)?;
        let mut authenticator = branch
            .authenticator
            .take()
            .unwrap_or_else(|| Authenticator::new(known));
        authenticator
            .handle_challenge(response, &cnonce)
            .map_err(CarrierFailure::Credentials)?;
        let (target, mut forward) = (branch.target.clone(), branch.forward.clone());
        forward.shift += 1;
        forward.credentials = credentials(&mut authenticator, &context.request, &forward);
        match context.scope {
            Scope::Initial => {
                forward.record_route = record_route(&context.request, &forward, &self.sent_by, &self.sealer);
            }
            Scope::InDialog => {
                let tag = context.request.from_tag();
                self.dialogs
                    .raise_shift(now, &context.request, tag.unwrap_or_default());
            }
        }
        self.authenticators.insert(carrier, authenticator.clone());
        self.counts.challenges_total += 1;
        self.start_branch(now, id, target, forward, Some(authenticator))
    }
}

pub(super) fn credentials(
    authenticator: &mut Authenticator,
    request: &Message,
    forward: &Forward,
) -> Vec<(HeaderName<'static>, HeaderValue)> {
    let Some(method) = request.method() else {
        return Vec::new();
    };
    match (&forward.request_uri, request.request_uri()) {
        (Some(uri), _) => authenticator.headers(method, uri.as_bytes()),
        (None, Some(Ok(uri))) => authenticator.headers(method, uri.as_bytes()),
        (None, _) => Vec::new(),
    }
}
