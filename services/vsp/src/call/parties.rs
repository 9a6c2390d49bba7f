//! Whom the parties of a call talk with, as each of them is shown it.

use super::{Action, Call};
use offhook_rpc_message::{Party, ServerMessage};

/// What clients show in place of a name that nobody has told.
pub(crate) const UNNAMED: &str = "Outbound Call";
/// Stands for a number that is withheld: where a client asks for that, and in `From` (RFC 3323 §4.1.1.3).
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Call {
    /// The client talks with somebody else now.
    pub(super) fn show_party(&mut self, party: Party, out: &mut Vec<Action>) {
        match self.inbound {
            true => {
                self.caller = party;
                self.hides_caller = false;
            }
            false => self.callee = party,
        }
        self.party_unseen = true;
        out.push(Action::Client(self.display()));
    }

    /// The far end says who it is: after a transfer in its network, somebody else.
    pub(crate) fn far_end_is(&mut self, party: Party, out: &mut Vec<Action>) {
        let known = self.far_party();
        let is_named = party.name.is_empty() || party.name == known.name;
        let is_known = is_named && same_number(&party.number, &known.number);
        if self.is_active() && !party.number.is_empty() && !is_known {
            self.show_party(party, out);
        }
    }

    /// The client has come back to the call that it knows.
    pub(super) fn show_unseen_party(&self, out: &mut Vec<Action>) {
        if self.party_unseen && self.is_active() {
            out.push(Action::Client(self.display()));
        }
    }

    /// As whom another party gets to know the far end; `None` if that one withholds its number.
    pub(crate) fn far_end_for_others(&self) -> Option<Party> {
        let Party { name, number } = self.far_party();
        let withheld = number.is_empty() || number == ANONYMOUS || (self.inbound && self.hides_caller);
        (!withheld).then(|| Party {
            name: if name == UNNAMED {
                String::new()
            } else {
                name.clone()
            },
            number: number.clone(),
        })
    }

    fn far_party(&self) -> &Party {
        match self.inbound {
            true => &self.caller,
            false => &self.callee,
        }
    }

    fn display(&self) -> ServerMessage {
        ServerMessage::Display {
            call: self.client_id.clone(),
            party: self.far_party().clone(),
        }
    }
}

/// Whether two spellings are one number: with `+` or without.
pub(crate) fn same_number(one: &str, other: &str) -> bool {
    one.trim_start_matches('+') == other.trim_start_matches('+')
}
