//! What the core is told about its world: users, addresses, times. Made by `config`.

use crate::auth::TokenPolicy;
use crate::limits::Limits;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// All settings of the core.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Site of this node, told to clients as `dc`.
    pub site: String,
    /// Region of the site.
    pub region: String,
    /// The SIP side.
    pub sip: SipSettings,
    /// Users by name.
    pub users: HashMap<String, User>,
    /// What tokens must say.
    pub tokens: TokenPolicy,
    /// Operator's limits.
    pub limits: Limits,
    /// How long a call of ours may ring.
    pub ring_timeout: Duration,
    /// How long a call may last.
    pub call_duration_max: Option<Duration>,
    /// How long a session without a socket keeps its calls.
    pub reattach_grace: Duration,
    /// Whether clients are given a `call_report_id`, which turns their statistics and report uploads on.
    pub call_reports: bool,
}

/// The SIP side of the VSP.
#[derive(Debug, Clone)]
pub struct SipSettings {
    /// Our address as the SIP proxy reaches it.
    pub contact: SocketAddr,
    /// The SIP proxy.
    pub proxy: SocketAddr,
    /// Domain of our users and of the numbers they dial.
    pub domain: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Numbers that are the user's.
    pub numbers: Vec<String>,
    /// Number to show when the client asks for none, or for one that is not the user's.
    pub caller_id: Option<String>,
    /// Name to show when the client asks for none.
    pub display_name: Option<String>,
}

impl User {
    /// The number that a call shows: the one asked for if it is the user's, else the default, else the user's name.
    pub fn caller_number<'a>(&'a self, name: &'a str, asked: Option<&str>) -> &'a str {
        let own = asked.and_then(|asked| self.numbers.iter().find(|number| number.as_str() == asked));
        own.or(self.caller_id.as_ref())
            .or(self.numbers.first())
            .map_or(name, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_numbers_are_shown() {
        let user = User {
            numbers: vec!["+1555".into(), "+1556".into()],
            caller_id: Some("+1556".into()),
            ..User::default()
        };
        assert_eq!(user.caller_number("alice", Some("+1555")), "+1555");
        assert_eq!(user.caller_number("alice", Some("+49110")), "+1556");
        assert_eq!(user.caller_number("alice", None), "+1556");
        assert_eq!(User::default().caller_number("alice", Some("+49110")), "alice");
    }
}
