//! One call.

use crate::negotiation::Negotiation;
use crate::scenario::Scenario;
use crate::stream::Stream;
use offhook_call_trace::CallId;
use offhook_sip::user_agent::IncomingId;
use std::net::SocketAddr;
use std::time::Instant;

/// Most digits that are kept for read-back; more are passed over.
const DIGITS_MAX: usize = 32;

/// One call, from its INVITE on.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) scenario: Scenario,
    /// The platform's id of the call, if the INVITE bore one.
    pub(crate) call_id: Option<CallId>,
    pub(crate) phase: Phase,
    /// Both from the moment on that there is a port for RTP.
    pub(crate) negotiation: Option<Negotiation>,
    pub(crate) stream: Option<Stream>,
    digits: String,
}

/// ```text
///   AwaitsPort ─► Early ─► Up ─► (gone)
///        └──────────────►──┘
///   Rings ─► (gone)
/// ```
#[derive(Debug)]
pub(crate) enum Phase {
    /// The shell opens a port for RTP.
    AwaitsPort {
        incoming: IncomingId,
        offer: Option<String>,
    },
    /// Plays before it answers.
    Early {
        incoming: IncomingId,
        description: String,
        answer_at: Instant,
    },
    /// Never answers.
    Rings,
    Up {
        hang_up_at: Instant,
    },
}

impl Call {
    pub(crate) fn new(scenario: Scenario, call_id: Option<CallId>, phase: Phase) -> Self {
        Self {
            scenario,
            call_id,
            phase,
            negotiation: None,
            stream: None,
            digits: String::new(),
        }
    }

    /// When the call has to do something by itself.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Early { answer_at, .. } => Some(*answer_at),
            Phase::Up { hang_up_at } => Some(*hang_up_at),
            Phase::AwaitsPort { .. } | Phase::Rings => None,
        }
    }

    /// Takes what holds after an offer or answer into the stream.
    pub(crate) fn apply_agreement(&mut self) {
        let Some(agreement) = self.negotiation.as_ref().and_then(Negotiation::agreement) else {
            return;
        };
        if let Some(stream) = &mut self.stream
            && let Err(error) = stream.change(agreement)
        {
            tracing::error!(%error, "the codec of a call could not be changed");
        }
    }

    /// A digit came in; `#` plays them back.
    pub(crate) fn handle_digit(&mut self, digit: char) {
        if self.scenario != Scenario::ReadBack {
            return;
        }
        if digit != '#' {
            if self.digits.len() < DIGITS_MAX {
                self.digits.push(digit);
            }
            return;
        }
        let digits = std::mem::take(&mut self.digits);
        if let Some(playlist) = self.stream.as_mut().and_then(Stream::playlist) {
            digits.chars().for_each(|digit| playlist.push_digit(digit));
        }
    }
}

/// The digit in the body of an INFO: `Signal=5` of application/dtmf-relay, or the digit alone of application/dtmf.
pub(crate) fn digit_of_info(body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    let signal = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("signal").then_some(value.trim())
    });
    let digit = signal.unwrap_or(text.trim());
    let mut characters = digit.chars();
    let digit = characters
        .next()
        .filter(|_| characters.next().is_none())?
        .to_ascii_uppercase();
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some(digit)
}

/// What a call's log line says at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSummary {
    /// The platform's id of the call, if it had one.
    pub call_id: Option<CallId>,
    /// What the number did.
    pub scenario: Scenario,
    /// Codec, if there was media.
    pub codec: Option<&'static str>,
    /// RTP packets taken.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Who ended it, and how.
    pub ending: &'static str,
}

impl CallSummary {
    pub(crate) fn new(call: &Call, ending: &'static str) -> Self {
        let stream = call.stream.as_ref();
        Self {
            call_id: call.call_id.clone(),
            scenario: call.scenario,
            codec: stream.map(Stream::codec_name),
            received: stream.map_or(0, |stream| stream.received),
            sent: stream.map_or(0, |stream| stream.sent),
            ending,
        }
    }
}

/// A port for RTP that the shell has opened.
pub(crate) type PortResult = Result<SocketAddr, std::io::ErrorKind>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_found_in_both_kinds_of_info() {
        assert_eq!(digit_of_info(b"Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(digit_of_info(b"Signal= #\nDuration= 100"), Some('#'));
        assert_eq!(digit_of_info(b"a\r\n"), Some('A'));
        for bad in [&b""[..], b"Signal=55", b"Signal=x", b"\xff\xff", b"Duration=160"] {
            assert_eq!(digit_of_info(bad), None, "{bad:?}");
        }
    }
}
