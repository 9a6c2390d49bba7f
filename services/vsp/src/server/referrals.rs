//! Far ends that send us to somebody else (REFER): whom we let, and whom we call.

use super::Server;
use crate::call::{CallKey, Newcomer, same_number};
use crate::settings::FarTransfers;
use offhook_rpc_message::validate::Destination;
use offhook_sip::Header;
use offhook_sip::user_agent::{LegId, Referral, ReferralId};
use offhook_sip_message::StatusCode;
use std::time::Instant;

/// How often one call may be sent on by its far ends: from a receptionist to somebody and back, twice. More is a loop.
const FAR_TRANSFERS_MAX: u8 = 4;

impl Server {
    /// The far end asks that our client talks with somebody else.
    pub(super) fn on_refer(&mut self, now: Instant, leg: LegId, referral: ReferralId, to: &Referral) {
        let admitted = self.admit_refer(leg, to);
        let answered = match &admitted {
            Ok(_) => self.user_agent.accept_refer(now, leg, referral),
            Err(status) => self.user_agent.decline_refer(now, leg, referral, *status),
        };
        if let Some(leg) = self.legs.get(&leg) {
            let status = admitted.as_ref().err().map_or(202, |status| status.code());
            tracing::info!(call_id = %leg.call_id, status, "the far end asks for a transfer");
        }
        match (answered, admitted) {
            (Ok(()), Ok((key, newcomer))) => self.with_call(now, key, |call, out| {
                call.begin_far_transfer((leg, referral), Box::new(newcomer), out);
            }),
            (Ok(()), Err(_)) => {}
            (Err(error), _) => tracing::debug!(%error, "a REFER was over before its answer"),
        }
    }

    /// The call that is asked for, and whom to call; or the status of the refusal.
    fn admit_refer(&self, leg: LegId, to: &Referral) -> Result<(CallKey, Newcomer), StatusCode> {
        let policy = self.settings.transfers.from_far_end;
        if policy == FarTransfers::Off {
            return Err(StatusCode::DECLINE);
        }
        let key = self.legs.get(&leg).and_then(|leg| leg.key);
        let (key, call) = key
            .and_then(|key| Some((key, self.calls.get(&key)?)))
            .filter(|(_, call)| call.leg == Some(leg) && call.may_transfer().is_ok())
            .ok_or(StatusCode::DECLINE)?;
        if self.draining {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if call.far_transfers >= FAR_TRANSFERS_MAX {
            return Err(StatusCode::LOOP_DETECTED);
        }
        let target = destination_of(to).ok_or(StatusCode::ADDRESS_INCOMPLETE)?;
        let own = |name: &str| {
            let numbers = self.settings.users.get(name).map(|user| &user.numbers[..]);
            target.as_str() == name
                || numbers.is_some_and(|all| all.iter().any(|number| same_number(number, target.as_str())))
        };
        if own(call.user()) {
            return Err(StatusCode::LOOP_DETECTED);
        }
        if policy == FarTransfers::Users && !self.settings.users.keys().any(|name| own(name)) {
            return Err(StatusCode::FORBIDDEN);
        }
        let by = to.referred_by.as_ref().and_then(|by| {
            let text = std::str::from_utf8(by.as_bytes()).ok()?;
            Header::new("Referred-By", text).ok()
        });
        let replaces = to.replaces.as_ref().and_then(|replaces| replaces.header());
        let newcomer = Newcomer {
            outgoing: self.call_for(call, target),
            headers: by.into_iter().chain(replaces).collect(),
        };
        Ok((key, newcomer))
    }
}

/// The number or user of an address: where it is, our proxy knows.
fn destination_of(to: &Referral) -> Option<Destination> {
    let uri = to.target.uri();
    let user = uri.user_unescaped()?;
    Destination::new(std::str::from_utf8(&user).ok()?).ok()
}
