//! What the core is told about its world: users, addresses, times. Made by `config`.

use crate::auth::{Credential, TokenPolicy};
use crate::limits::Limits;
use offhook_rpc_message::validate::Destination;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// All settings of the core.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this node. It stands in each `voice_sdk_id`, by which a balancer finds the way back.
    pub node: String,
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
    /// How long a call may ring, in either direction.
    pub ring_timeout: Duration,
    /// SIP status of a call that a user declines.
    pub reject_code: u16,
    /// SIP status of a call that a user does not answer.
    pub no_answer_code: u16,
    /// Names of headers beside `X-…` that may pass between clients and SIP, in lower case.
    pub headers_allowed: Vec<String>,
    /// What clients without a name may call.
    pub anonymous_targets: Vec<AnonymousTarget>,
    /// How long a call may last.
    pub call_duration_max: Option<Duration>,
    /// Transfers that we make.
    pub transfers: TransferSettings,
    /// How long a session without a socket keeps its calls, and a user without sessions its registration elsewhere.
    pub reattach_grace: Duration,
    /// Whether clients are given a `call_report_id`, which turns their statistics and report uploads on.
    pub call_reports: bool,
}

impl Settings {
    /// What is usual, for these users.
    pub fn new(sip: SipSettings, users: HashMap<String, User>) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            node: "local".to_owned(),
            site: "local".to_owned(),
            region: "local".to_owned(),
            sip,
            users,
            tokens: TokenPolicy::default(),
            limits: Limits::default(),
            ring_timeout: minute,
            reject_code: 487,
            no_answer_code: 480,
            headers_allowed: Vec::new(),
            anonymous_targets: Vec::new(),
            call_duration_max: None,
            transfers: TransferSettings::default(),
            reattach_grace: minute,
            call_reports: true,
        }
    }
}

/// Transfers that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferSettings {
    /// Whether we connect two far parties ourselves where the far end does not do so.
    pub local: bool,
    /// How long two far parties may then talk.
    pub connected_max: Duration,
    /// Whether far ends may send clients to somebody else.
    pub from_far_end: FarTransfers,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            local: true,
            connected_max: Duration::from_secs(4 * 60 * 60),
            from_far_end: FarTransfers::Off,
        }
    }
}

/// Where a far end may send a client by REFER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FarTransfers {
    /// Nowhere.
    #[default]
    Off,
    /// To our users and their numbers.
    Users,
    /// Wherever the user could call.
    Any,
}

/// The SIP side of the VSP.
#[derive(Debug, Clone)]
pub struct SipSettings {
    /// Our address as the SIP proxy reaches it.
    pub contact: SocketAddr,
    /// The SIP proxy.
    pub proxy: SocketAddr,
    /// Addresses beside the proxy's that may bring calls for users.
    pub peers: Vec<IpAddr>,
    /// Domain of our users and of the numbers they dial.
    pub domain: String,
    /// How long a call lives without a refresh (RFC 4028); `None`: for ever.
    pub session_expires: Option<Duration>,
}

/// A destination that clients may call without logging in as somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnonymousTarget {
    /// `target_type` of their login, for example `ai_assistant`.
    pub kind: String,
    /// `target_id` of their login.
    pub id: String,
    /// Number or user that they are connected with.
    pub destination: Destination,
    /// Number or name that they show.
    pub caller: String,
}

/// An account at somebody else's registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registrar {
    /// Domain of the account.
    pub domain: String,
    /// The registrar, or the proxy in front of it; `None`: DNS says where the domain is.
    pub address: Option<SocketAddr>,
    /// User part of the account's address, and name for challenges.
    pub username: String,
    /// Password.
    pub password: Credential,
    /// Lifetime to ask for.
    pub expires: Duration,
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
    /// The registrar elsewhere that the user has an account at; its calls come and go there.
    pub register: Option<Registrar>,
    /// Whether those called may not see who calls.
    pub hide_caller: bool,
    /// Calls at once, over all clients of the user; over it the user is busy.
    pub calls_max: Option<usize>,
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
