//! A registration at somebody else's registrar (RFC 3261 §10.2): when to send what, as plain data.

use crate::digest::{Authenticator, Credentials};
use crate::extra_header::Header;
use crate::flow::Flow;
use offhook_sip_message::header::{Contact, Expires, MinExpires, RetryAfter};
use offhook_sip_message::{HeaderValue, Message, StatusCode, UriBuf};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Longest lifetime that is asked for or believed, in seconds: a day. A registrar that grants more is refreshed daily.
const EXPIRES_MAX: u32 = 86_400;

/// First wait after a failure; doubled with each further one up to [`BACK_OFF_MAX`].
const BACK_OFF: Duration = Duration::from_secs(30);

/// Longest wait between two tries, also where Retry-After asks for more.
const BACK_OFF_MAX: Duration = Duration::from_secs(1800);

/// How often in a row a REGISTER is sent again because its lifetime was too brief (423).
const TOO_BRIEF_MAX: u8 = 3;

/// A registration of this user agent. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(pub(super) u64);

/// What to register, where.
#[derive(Debug, Clone)]
pub struct OutgoingRegistration {
    /// The registrar's domain, as request URI: `sip:example.com`.
    pub registrar: UriBuf,
    /// Next hop: the registrar, or an outbound proxy.
    pub destination: Flow,
    /// A Route that the REGISTER has to take (with `lr`), where the outbound proxy wants one.
    pub route: Option<UriBuf>,
    /// The address of record, for From and To.
    pub account: super::NameAddr,
    /// Where calls to it shall arrive.
    pub contact: UriBuf,
    /// To answer 401 and 407.
    pub credentials: Option<Credentials>,
    /// Lifetime to ask for; whole seconds, at most a day.
    pub expires: Duration,
    /// Further header lines.
    pub headers: Vec<Header>,
}

/// How a registration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// The first REGISTER, or the first after a failure, is on its way.
    Registering,
    /// Calls arrive. It is refreshed before `until`, which changes with each refresh.
    Registered {
        /// When the binding ends unless it is refreshed.
        until: Instant,
    },
    /// Failed for now.
    Retrying {
        /// When it is tried again.
        at: Instant,
        /// What went wrong.
        reason: RetryReason,
        /// An older binding may still bring calls until then.
        bound_until: Option<Instant>,
    },
    /// The registrar will not have it: nothing more is tried. Wrong credentials are 401, 403 or 407.
    Refused {
        /// Its answer.
        status: StatusCode,
    },
    /// The binding is being removed.
    Unregistering,
    /// The binding is removed, or the registrar did not say so in time.
    Unregistered,
}

/// Why a registration failed for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// No answer in time.
    TimedOut,
    /// The REGISTER could not be sent.
    Transport,
    /// This answer: 408, 480, 486, 491, 5xx.
    Status(StatusCode),
}

/// One registration.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) plan: OutgoingRegistration,
    pub(super) state: RegistrationState,
    pub(super) auth: Option<Authenticator>,
    pub(super) from: HeaderValue,
    pub(super) to: HeaderValue,
    pub(super) call_id: String,
    pub(super) cseq: u32,
    /// Whether a REGISTER waits for its answer; there is only one at a time (§10.2).
    pub(super) in_flight: bool,
    /// Whether the REGISTER that removes the binding was sent.
    pub(super) removal_sent: bool,
    /// When the next REGISTER is due.
    pub(super) next_at: Option<Instant>,
    seconds: u32,
    bound_until: Option<Instant>,
    failures: u32,
    too_brief: u8,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the REGISTER again at once.
    Again,
    /// Nothing until `next_at`.
    Wait,
    /// The registration is over.
    Over,
}

impl Registration {
    pub(super) fn new(
        plan: OutgoingRegistration,
        from: HeaderValue,
        to: HeaderValue,
        call_id: String,
    ) -> Self {
        let asked = u32::try_from(plan.expires.as_secs()).unwrap_or(EXPIRES_MAX);
        Self {
            auth: plan.credentials.clone().map(Authenticator::new),
            seconds: asked.clamp(1, EXPIRES_MAX),
            state: RegistrationState::Registering,
            from,
            to,
            call_id,
            cseq: 0,
            in_flight: false,
            removal_sent: false,
            next_at: None,
            bound_until: None,
            failures: 0,
            too_brief: 0,
            plan,
        }
    }

    /// Lifetime for the next REGISTER in seconds; 0 removes the binding.
    pub(super) fn seconds_to_ask(&self) -> u32 {
        match self.state {
            RegistrationState::Unregistering => 0,
            _ => self.seconds,
        }
    }

    /// Whether a binding may exist at the registrar.
    pub(super) fn may_be_bound(&self, now: Instant) -> bool {
        self.in_flight || self.bound_until.is_some_and(|until| now < until)
    }

    /// The next try starts: after a failure with a clean slate of challenges.
    pub(super) fn start_try(&mut self) {
        self.next_at = None;
        if let RegistrationState::Retrying { .. } | RegistrationState::Refused { .. } = self.state {
            self.state = RegistrationState::Registering;
            self.auth = self.plan.credentials.clone().map(Authenticator::new);
        }
    }

    /// A final answer; a 401 or 407 only if it cannot be answered.
    pub(super) fn handle_response(&mut self, now: Instant, response: &Message, rng: &mut StdRng) -> Next {
        let Some(status) = response.status() else {
            return Next::Wait;
        };
        if self.state == RegistrationState::Unregistering {
            return Next::Over;
        }
        match status.code() {
            200..300 => self.handle_accepted(now, response, rng),
            423 => self.handle_too_brief(now, response, rng),
            408 | 480 | 486 | 491 | 500..600 => {
                self.retry(now, RetryReason::Status(status), retry_after(response), rng)
            }
            _ => {
                self.state = RegistrationState::Refused { status };
                self.bound_until = None;
                Next::Wait
            }
        }
    }

    /// No final answer.
    pub(super) fn handle_failure(&mut self, now: Instant, reason: RetryReason, rng: &mut StdRng) -> Next {
        match self.state {
            RegistrationState::Unregistering => Next::Over,
            _ => self.retry(now, reason, None, rng),
        }
    }

    fn handle_accepted(&mut self, now: Instant, response: &Message, rng: &mut StdRng) -> Next {
        if let Some(auth) = &mut self.auth {
            auth.handle_accepted_response(response);
        }
        self.failures = 0;
        self.too_brief = 0;
        let granted = self.granted(response);
        if granted == 0 {
            // A binding that is gone at once is none.
            return self.retry(now, RetryReason::Status(StatusCode::OK), None, rng);
        }
        let lifetime = Duration::from_secs(granted.into());
        let until = now + lifetime;
        // Many accounts that came up together must not stay in step.
        let share = rng.random_range(0.70..0.90);
        // A registrar that counts whole seconds lets go up to one sooner.
        let sure = lifetime - (lifetime / 2).min(Duration::from_secs(1));
        self.next_at = Some(now + sure.mul_f64(share));
        self.bound_until = Some(until);
        self.state = RegistrationState::Registered { until };
        Next::Wait
    }

    /// The lifetime of our contact: its own parameter, else Expires, else what we asked for (§10.2.4). A registrar that
    /// wrote our contact anew, so that none of its contacts is ours, is taken at its word for all.
    fn granted(&self, response: &Message) -> u32 {
        let ours = self.plan.contact.uri();
        let own = response.all::<Contact<'_>>().flatten().find(|contact| {
            contact
                .address()
                .is_some_and(|address| address.uri.is_equivalent(&ours))
        });
        let general = response
            .get::<Expires>()
            .and_then(Result::ok)
            .map(|Expires(seconds)| seconds);
        own.and_then(|contact| contact.expires())
            .or(general)
            .unwrap_or(self.seconds)
            .min(EXPIRES_MAX)
    }

    fn handle_too_brief(&mut self, now: Instant, response: &Message, rng: &mut StdRng) -> Next {
        match response.get::<MinExpires>() {
            Some(Ok(MinExpires(min)))
                if self.too_brief < TOO_BRIEF_MAX && (self.seconds + 1..=EXPIRES_MAX).contains(&min) =>
            {
                self.too_brief += 1;
                self.seconds = min;
                Next::Again
            }
            _ => self.retry(
                now,
                RetryReason::Status(StatusCode::INTERVAL_TOO_BRIEF),
                None,
                rng,
            ),
        }
    }

    fn retry(
        &mut self,
        now: Instant,
        reason: RetryReason,
        asked: Option<Duration>,
        rng: &mut StdRng,
    ) -> Next {
        let base = BACK_OFF * 2u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.too_brief = 0;
        // Half to the whole of the wait, so that a registrar that comes back is not overrun (RFC 5626 §4.5).
        let own = base.min(BACK_OFF_MAX).mul_f64(rng.random_range(0.5..1.0));
        let wait = asked.map_or(own, |asked| asked.min(BACK_OFF_MAX).max(own));
        let at = now + wait;
        self.bound_until = self.bound_until.filter(|until| now < *until);
        self.next_at = Some(at);
        self.state = RegistrationState::Retrying {
            at,
            reason,
            bound_until: self.bound_until,
        };
        Next::Wait
    }
}

fn retry_after(response: &Message) -> Option<Duration> {
    let RetryAfter { seconds } = response.get::<RetryAfter>()?.ok()?;
    Some(Duration::from_secs(seconds.into()))
}
