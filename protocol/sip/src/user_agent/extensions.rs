//! What a user agent can do beyond RFC 3261, each switched on by its owner, and what it then says besides events.

use super::api::{LegId, RequestId};
use super::refer::ReferralId;
use super::referral::Referral;
use super::registration::{RegistrationId, RegistrationState};
use offhook_sip_message::{Message, Method, StatusCode};
use std::time::Duration;

/// Extensions of a user agent. The default has none: then nothing is announced, and what peers say of them is ignored or
/// refused as RFC 3261 says. PRACK to reliable provisional responses is always sent: it needs no consent of the owner's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 4028.
    pub session_timer: SessionTimer,
    /// RFC 3262.
    pub reliable_provisionals: ReliableProvisionals,
    /// RFC 3515: REFER within a call becomes [`Notice::ReferRequested`], and NOTIFYs of our own become
    /// [`Notice::ReferProgress`].
    pub transfers: bool,
    /// RFC 3891: an INVITE with Replaces is matched with the calls that exist; see [`super::UserAgent::replaced_by`].
    pub replaces: bool,
}

/// Settings of session timers (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// Whether sessions expire.
    pub mode: SessionTimerMode,
    /// Longest time between refreshes that we ask for or grant; whole seconds. Default 1800 s.
    pub interval: Duration,
    /// Shortest time that we agree to; whole seconds, at least 90 s (RFC 4028 §4), which is the default.
    pub min: Duration,
}

impl Default for SessionTimer {
    fn default() -> Self {
        Self {
            mode: SessionTimerMode::Off,
            interval: Duration::from_secs(1800),
            min: Duration::from_secs(90),
        }
    }
}

/// Whether sessions expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionTimerMode {
    /// Session-Expires is neither sent nor heeded.
    #[default]
    Off,
    /// Where the other side, or a proxy, asks for it.
    Accept,
    /// Always: where the other side knows no session timers, the user agent itself refreshes.
    Require,
}

/// When provisional responses to INVITE are sent reliably (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReliableProvisionals {
    /// Never; an INVITE that requires it gets 420. `Supported: 100rel` is not announced.
    #[default]
    Off,
    /// Where the caller requires it.
    WhenRequired,
    /// Wherever the caller can.
    WhenSupported,
}

impl Extensions {
    /// The option tags for Supported.
    pub(super) fn tags(&self) -> Vec<&'static str> {
        let known = [
            ("timer", self.session_timer.mode != SessionTimerMode::Off),
            ("100rel", self.reliable_provisionals != ReliableProvisionals::Off),
            ("replaces", self.replaces),
            ("norefersub", self.transfers),
        ];
        known
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(tag, _)| tag)
            .collect()
    }

    /// The bodies that the user agent reads itself for them.
    pub(super) fn media_types(&self) -> &'static [&'static str] {
        if self.transfers { &["message/sipfrag"] } else { &[] }
    }

    /// The methods that the user agent handles itself for them.
    pub(super) fn methods(&self) -> Vec<Method> {
        let mut methods = Vec::new();
        if self.session_timer.mode != SessionTimerMode::Off {
            methods.push(Method::Update);
        }
        if self.reliable_provisionals != ReliableProvisionals::Off {
            methods.push(Method::Prack);
        }
        if self.transfers {
            methods.extend([Method::Refer, Method::Notify]);
        }
        methods
    }
}

/// What the owner has to know beside [`super::Event`]s; drained by [`super::UserAgent::poll_notice`]. Only extensions
/// that are switched on, and registrations, make any.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Nobody refreshed the session in time (RFC 4028 §10). BYE has been sent; `Terminated` with
    /// [`super::Ending::Lost`] follows.
    SessionExpired {
        /// The call.
        leg: LegId,
    },
    /// The user agent refreshed the session by a re-INVITE, and this was the answer to our unchanged SDP; it counts
    /// where it differs from the one before. UPDATEs without SDP are not reported.
    SessionRefreshed {
        /// The call.
        leg: LegId,
        /// The 2xx.
        response: Message,
    },
    /// The other side asks us to call somebody (RFC 3515). Answer by [`super::UserAgent::accept_refer`] or
    /// [`super::UserAgent::decline_refer`].
    ReferRequested {
        /// The call.
        leg: LegId,
        /// For the answer.
        referral: ReferralId,
        /// Whom to call, and instead of which call.
        to: Box<Referral>,
        /// The REFER.
        request: Message,
    },
    /// How the call fares that we asked the other side for.
    ReferProgress {
        /// The call.
        leg: LegId,
        /// Our REFER.
        request: RequestId,
        /// What the other side was told by whom it called: 100 until something is known, 408 if we never heard; the
        /// REFER's own status where the other side keeps us no subscription (RFC 4488).
        status: StatusCode,
        /// Nothing more follows.
        finished: bool,
    },
    /// A registration is in a new state.
    Registration {
        /// Which one.
        registration: RegistrationId,
        /// How it stands; after [`RegistrationState::Unregistered`] it is gone.
        state: RegistrationState,
    },
}
