//! An INVITE for a user, until one of the user's clients answers it: which calls ring, and what the caller is told if
//! none is answered.

use crate::call::CallKey;
use crate::output::EndedBy;
use offhook_call_trace::CallId;
use offhook_media_control::Latching;
use offhook_rpc_message::validate::CustomHeader;
use offhook_rpc_message::{Party, SessionId};
use offhook_sip::user_agent::IncomingId;
use std::collections::BTreeSet;

/// Clients of one user at which a call rings at once: each holds a session of the gateway.
pub(crate) const RINGING_MAX: usize = 16;

/// A call that rings at the clients of a user.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Through all parts.
    pub(crate) call_id: CallId,
    /// For the answer.
    pub(crate) invite: IncomingId,
    /// Whom it is for.
    pub(crate) user: String,
    /// Offer of the caller; none if it wants ours.
    pub(crate) offer: Option<String>,
    /// Whose packets the gateway takes from the caller; none: its own rule.
    pub(crate) latching: Option<Latching>,
    /// The caller asked that its number is not shown.
    pub(crate) hides_caller: bool,
    pub(crate) caller: Party,
    pub(crate) callee: Party,
    /// The caller's headers that clients may see.
    pub(crate) headers: Vec<CustomHeader>,
    pub(crate) sip_call_id: String,
    /// Where it rings now.
    pub(crate) calls: BTreeSet<CallKey>,
    /// The one whose client has answered; the gateway applies its SDP.
    pub(crate) answered: Option<CallKey>,
    /// Where it has rung: a client is asked once.
    asked: BTreeSet<SessionId>,
    rung: bool,
    /// Why it rings no more where it did: what counts most, and whose doing it was.
    refusal: Option<(u16, EndedBy)>,
}

impl Incoming {
    /// A call that rings nowhere yet.
    pub(crate) fn new(
        call_id: CallId,
        invite: IncomingId,
        user: String,
        offer: Option<String>,
        (caller, callee): (Party, Party),
        headers: Vec<CustomHeader>,
    ) -> Self {
        Self {
            call_id,
            invite,
            user,
            offer,
            latching: None,
            hides_caller: false,
            caller,
            callee,
            headers,
            sip_call_id: String::new(),
            calls: BTreeSet::new(),
            answered: None,
            asked: BTreeSet::new(),
            rung: false,
            refusal: None,
        }
    }

    /// Whether this client is to be asked; only once is it so.
    pub(crate) fn asks(&mut self, session: &SessionId) -> bool {
        self.answered.is_none() && self.calls.len() < RINGING_MAX && self.asked.insert(session.clone())
    }

    /// Whether the caller has to be told now that it rings.
    pub(crate) fn rings(&mut self) -> bool {
        !std::mem::replace(&mut self.rung, true)
    }

    /// It does not ring at a client, for this reason. Who was told that another one was faster (200) has refused nothing.
    pub(crate) fn failed(&mut self, status: u16, by: EndedBy) {
        if status < 300 {
            return;
        }
        self.refusal = Some(match self.refusal {
            Some(known) if rank(known.0) >= rank(status) => known,
            _ => (status, by),
        });
    }

    /// What the caller is told when no client is left.
    pub(crate) fn refusal(&self) -> (u16, EndedBy) {
        self.refusal.unwrap_or((480, EndedBy::Vsp))
    }
}

/// What a person decided counts more than what a machine did; a global refusal more than one of this user.
const fn rank(status: u16) -> u8 {
    match status {
        600..=699 => 5,
        487 => 4,
        486 => 3,
        480 | 408 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_declines_outweighs_clients_that_fail() {
        for (statuses, told) in [
            (&[480, 487, 488][..], 487),
            (&[486, 603], 603),
            (&[486, 480], 486),
            (&[503, 480], 503),
        ] {
            assert_eq!(
                statuses.iter().copied().max_by_key(|status| rank(*status)),
                Some(told)
            );
        }
    }
}
