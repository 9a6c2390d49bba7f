//! Session timers (RFC 4028): what is asked for, what is granted, when to refresh and when to give up.

use super::UserAgent;
use super::api::{Body, Ending, Event, LegId, OutgoingRequest};
use super::extensions::{Notice, SessionTimer, SessionTimerMode};
use super::leg::{Leg, State};
use super::mid_call::Purpose;
use crate::extra_header::Header as ExtraHeader;
use offhook_sip_message::header::{Header, MinSe, Refresher, SessionExpires};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, StatusCode};
use std::time::{Duration, Instant};

/// How often a request is sent again because the other side wants a longer interval (422): each proxy on the way may
/// want one of its own.
const RETRIES_MAX: u8 = 4;

/// Shortest wait between two tries to refresh one session.
const REFRESH_RETRY_MIN: Duration = Duration::from_secs(2);

/// Longest time before the end at which BYE is sent, so that it arrives in time (RFC 4028 §10).
const BYE_LEAD_MAX: Duration = Duration::from_secs(32);

/// Lines that the user agent adds to a message.
pub(super) type OwnLines = Vec<(HeaderName<'static>, HeaderValue)>;

/// The session timer of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Session {
    /// What was agreed on; `None`: the session does not expire.
    pub(super) running: Option<Running>,
    /// The longest Min-SE that a 422 named, in seconds.
    pub(super) min_se: Option<u32>,
    pub(super) retries: u8,
}

/// A session that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) seconds: u32,
    pub(super) we_refresh: bool,
    /// When to refresh next, if that is ours.
    pub(super) refresh_at: Instant,
    /// When to give up.
    pub(super) end_at: Instant,
}

/// What a 2xx of ours grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    expires: SessionExpires,
    peer_supports: bool,
}

impl Running {
    fn new(now: Instant, seconds: u32, we_refresh: bool) -> Self {
        let interval = Duration::from_secs(seconds.into());
        Self {
            seconds,
            we_refresh,
            refresh_at: now + interval / 2,
            end_at: now + interval - BYE_LEAD_MAX.min(interval / 3),
        }
    }
}

impl Session {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        Some(match running.we_refresh {
            true => running.refresh_at.min(running.end_at),
            false => running.end_at,
        })
    }

    /// Session-Expires and Min-SE for a request of ours that refreshes the session, or starts it (§7.1, §7.4).
    pub(super) fn request_lines(&self, settings: &SessionTimer) -> OwnLines {
        let seconds = match (settings.mode, &self.running) {
            (SessionTimerMode::Off, _) | (SessionTimerMode::Accept, None) => None,
            (_, Some(running)) => Some(running.seconds),
            (SessionTimerMode::Require, None) => Some(seconds_of(settings.interval)),
        };
        let min = self.min_se.unwrap_or(0).max(seconds_of(settings.min));
        let mut lines = OwnLines::new();
        if let Some(seconds) = seconds {
            let expires = SessionExpires {
                seconds: seconds.max(min),
                refresher: self.running.as_ref().map(|running| match running.we_refresh {
                    true => Refresher::Uac,
                    false => Refresher::Uas,
                }),
            };
            lines.push(line(&expires));
        }
        // 90 s is what holds without Min-SE (§5).
        if settings.mode != SessionTimerMode::Off && min != DEFAULT_MIN_SE {
            lines.push(line(&MinSe(min)));
        }
        lines
    }

    /// Takes note of a 422; `true` if the request is worth sending again (§7.4).
    pub(super) fn accepts_min_se(&mut self, settings: &SessionTimer, response: &Message) -> bool {
        if response.status() != Some(StatusCode::SESSION_INTERVAL_TOO_SMALL)
            || settings.mode == SessionTimerMode::Off
            || self.retries >= RETRIES_MAX
        {
            return false;
        }
        let Some(Ok(MinSe(min))) = response.get::<MinSe>() else {
            return false;
        };
        self.retries += 1;
        self.min_se = Some(self.min_se.unwrap_or(0).max(min));
        if let Some(running) = &mut self.running {
            running.seconds = running.seconds.max(min);
        }
        true
    }

    /// A 2xx to a request of ours that refreshes the session, or starts it (§7.2).
    pub(super) fn handle_2xx(&mut self, now: Instant, settings: &SessionTimer, response: &Message) {
        self.retries = 0;
        let granted = response.get::<SessionExpires>().and_then(Result::ok);
        self.running = match (settings.mode, granted) {
            (SessionTimerMode::Off, _) | (SessionTimerMode::Accept, None) => None,
            (_, Some(expires)) => {
                let seconds = expires.seconds.max(seconds_of(settings.min));
                Some(Running::new(
                    now,
                    seconds,
                    expires.refresher != Some(Refresher::Uas),
                ))
            }
            // Neither they nor a proxy know it: we refresh for our own sake, to find out when they are gone.
            (SessionTimerMode::Require, None) => {
                let seconds = seconds_of(settings.interval).max(self.min_se.unwrap_or(0));
                Some(Running::new(now, seconds, true))
            }
        };
    }

    /// Whether a refresher is due.
    fn refresh_due(&self, now: Instant) -> bool {
        self.running
            .is_some_and(|running| running.we_refresh && running.refresh_at <= now)
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.running.is_some_and(|running| running.end_at <= now)
    }

    /// A try is under way; the next one follows should it fail.
    fn note_attempt(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            let left = running.end_at.saturating_duration_since(now);
            running.refresh_at = now + (left / 2).max(REFRESH_RETRY_MIN);
        }
    }
}

impl Grant {
    /// What to grant to a request of theirs (§9, table 2); `None`: the session does not expire.
    pub(super) fn of(settings: &SessionTimer, session: &Session, request: &Message) -> Option<Self> {
        let asked = request.get::<SessionExpires>().and_then(Result::ok);
        let peer_supports =
            request.lists(HeaderName::Supported, "timer") || request.lists(HeaderName::Require, "timer");
        let floor = match request.get::<MinSe>() {
            Some(Ok(MinSe(min))) => min.max(DEFAULT_MIN_SE),
            _ => DEFAULT_MIN_SE,
        };
        let ours = seconds_of(settings.interval).max(floor);
        let seconds = match (settings.mode, asked) {
            (SessionTimerMode::Off, _) | (SessionTimerMode::Accept, None) => return None,
            (SessionTimerMode::Require, None) => ours,
            (_, Some(asked)) => asked.seconds.min(ours),
        };
        let we_refresh = session.running.is_some_and(|running| running.we_refresh);
        let refresher = match asked.and_then(|asked| asked.refresher) {
            _ if !peer_supports => Refresher::Uas,
            Some(refresher) => refresher,
            None if we_refresh => Refresher::Uas,
            None => Refresher::Uac,
        };
        Some(Self {
            expires: SessionExpires {
                seconds: seconds.max(DEFAULT_MIN_SE),
                refresher: Some(refresher),
            },
            peer_supports,
        })
    }

    /// The lines of the 2xx.
    pub(super) fn lines(&self) -> OwnLines {
        let mut lines = vec![line(&self.expires)];
        if self.expires.refresher == Some(Refresher::Uac) && self.peer_supports {
            lines.push((
                HeaderName::Require,
                HeaderValue::new("timer").expect("has no line break"),
            ));
        }
        lines
    }

    pub(super) fn start(&self, now: Instant) -> Running {
        Running::new(
            now,
            self.expires.seconds,
            self.expires.refresher == Some(Refresher::Uas),
        )
    }
}

/// The shortest interval where no Min-SE is named, and that any may name, in seconds (RFC 4028 §4, §5).
const DEFAULT_MIN_SE: u32 = 90;

/// Whether a request asks for a shorter interval than we agree to, and can be told so (§9).
pub(super) fn is_too_brief(settings: &SessionTimer, request: &Message) -> bool {
    settings.mode != SessionTimerMode::Off
        && request.lists(HeaderName::Supported, "timer")
        && matches!(request.get::<SessionExpires>(),
            Some(Ok(asked)) if asked.seconds < seconds_of(settings.min))
}

/// Min-SE for a 422.
pub(super) fn min_se(settings: &SessionTimer) -> (HeaderName<'static>, HeaderValue) {
    line(&MinSe(seconds_of(settings.min)))
}

fn seconds_of(interval: Duration) -> u32 {
    u32::try_from(interval.as_secs())
        .unwrap_or(u32::MAX)
        .max(DEFAULT_MIN_SE)
}

fn line<'h>(header: &impl Header<'h>) -> (HeaderName<'static>, HeaderValue) {
    (
        name_of(header),
        header
            .to_value()
            .expect("numbers and fixed words hold no line break"),
    )
}

fn name_of<'h, H: Header<'h>>(_: &H) -> HeaderName<'static> {
    H::NAME
}

impl UserAgent {
    /// The session of a call is to be refreshed, or over.
    pub(super) fn handle_session_timeout(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        if !matches!(leg.state, State::Confirmed(_)) {
            return;
        }
        if leg.session.is_expired(now) {
            let reason = ExtraHeader::new("Reason", "SIP;cause=408;text=\"Session expired\"");
            self.close(now, leg_id, reason.into_iter().collect());
            self.push_notice(Notice::SessionExpired { leg: leg_id });
            self.push_event(Event::Terminated {
                leg: leg_id,
                ending: Ending::Lost,
            });
        } else if leg.session.refresh_due(now) {
            leg.session.note_attempt(now);
            self.refresh_session(now, leg_id);
        }
    }

    /// By UPDATE where the other side knows it, else by a re-INVITE with the SDP that stands (§7.4).
    fn refresh_session(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get(&leg_id) else {
            return;
        };
        let request = |method, body| OutgoingRequest {
            method,
            headers: Vec::new(),
            body,
        };
        let sent = if leg.peer.update {
            self.send_within(now, leg_id, Purpose::Refresh, request(Method::Update, None))
        } else if let Some(body) = refresh_offer(leg) {
            self.send_offer(now, leg_id, None, request(Method::Invite, Some(body)), 0)
        } else {
            // Another offer is open: its 2xx refreshes the session too.
            return;
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "could not refresh a session; trying again");
        }
    }
}

fn refresh_offer(leg: &Leg) -> Option<Body> {
    leg.local_sdp.clone().filter(|_| leg.may_offer())
}
