//! How requests are refused that have no context.

use super::Refusal;
use offhook_sip_message::header::RetryAfter;
use offhook_sip_message::{HeaderName, HeaderValue, StatusCode};

/// What a caller shall wait when we are full or leaving: long enough for set-ups to end or another node to take over.
pub(super) const RETRY_AFTER: RetryAfter = RetryAfter { seconds: 10 };

/// How a request is refused.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    pub(super) reason: Refusal,
    pub(super) header: Option<(HeaderName<'static>, HeaderValue)>,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, reason: Refusal) -> Self {
        Self {
            status,
            reason,
            header: None,
        }
    }

    pub(super) fn with(self, name: HeaderName<'static>, value: Option<HeaderValue>) -> Self {
        Self {
            header: value.map(|value| (name, value)),
            ..self
        }
    }

    /// 503 with Retry-After.
    pub(super) fn unavailable(reason: Refusal) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason).with(
            HeaderName::RetryAfter,
            Some(HeaderValue::number(RETRY_AFTER.seconds)),
        )
    }

    /// Whether it asks for a proof, as every registration and every call of a phone begins.
    pub(super) fn is_challenge(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        )
    }
}
