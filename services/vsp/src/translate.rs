//! Causes and statuses of one language in the other: tables only.
//!
//! A client reads a call's end as cause, cause code, SIP status and reason; SIP says it with a status, or with a
//! `Reason` header (RFC 3326) that carries a Q.850 cause; the gateway with an error or a reason of its own.

use offhook_media_control::{CommandErrorKind, GoneReason};

/// Name and number of a cause, as clients show them. Numbers up to 127 are those of Q.850.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// For example `USER_BUSY`.
    pub name: &'static str,
    /// For example 17.
    pub code: u16,
}

impl Cause {
    /// The call ended as calls end.
    pub const NORMAL_CLEARING: Cause = cause("NORMAL_CLEARING", 16);
    /// Busy, or declined by a caller who gave up.
    pub const USER_BUSY: Cause = cause("USER_BUSY", 17);
    /// It rang, and nobody came.
    pub const NO_ANSWER: Cause = cause("NO_ANSWER", 19);
    /// Nothing more is known.
    pub const NORMAL_UNSPECIFIED: Cause = cause("NORMAL_UNSPECIFIED", 31);
    /// Something on our side or on the way is out of order for now.
    pub const NORMAL_TEMPORARY_FAILURE: Cause = cause("NORMAL_TEMPORARY_FAILURE", 41);
    /// No codec in common.
    pub const INCOMPATIBLE_DESTINATION: Cause = cause("INCOMPATIBLE_DESTINATION", 88);
    /// The other end did not come back in time.
    pub const RECOVERY_ON_TIMER_EXPIRE: Cause = cause("RECOVERY_ON_TIMER_EXPIRE", 102);
    /// The caller gave up.
    pub const ORIGINATOR_CANCEL: Cause = cause("ORIGINATOR_CANCEL", 487);
    /// The call was as long as calls may be.
    pub const ALLOTTED_TIMEOUT: Cause = cause("ALLOTTED_TIMEOUT", 602);
    /// Another phone was faster.
    pub const LOSE_RACE: Cause = cause("LOSE_RACE", 502);
    /// Declined.
    pub const CALL_REJECTED: Cause = cause("CALL_REJECTED", 21);
    /// No media came.
    pub const MEDIA_TIMEOUT: Cause = cause("MEDIA_TIMEOUT", 604);
    /// The number has a form that no number has.
    pub const INVALID_NUMBER_FORMAT: Cause = cause("INVALID_NUMBER_FORMAT", 28);
    /// The client asked for something malformed.
    pub const MANDATORY_IE_MISSING: Cause = cause("MANDATORY_IE_MISSING", 96);

    /// The Q.850 cause that says the same towards SIP.
    pub const fn q850(self) -> u8 {
        match self.code {
            code @ 1..=127 => code as u8,
            487 | 502 => 16,
            602 => 102,
            604 => 41,
            _ => 31,
        }
    }
}

const fn cause(name: &'static str, code: u16) -> Cause {
    Cause { name, code }
}

/// Causes of Q.850 with the names that softswitches give them.
const Q850: [Cause; 24] = [
    cause("UNALLOCATED_NUMBER", 1),
    cause("NO_ROUTE_TRANSIT_NET", 2),
    cause("NO_ROUTE_DESTINATION", 3),
    Cause::NORMAL_CLEARING,
    Cause::USER_BUSY,
    cause("NO_USER_RESPONSE", 18),
    Cause::NO_ANSWER,
    cause("SUBSCRIBER_ABSENT", 20),
    Cause::CALL_REJECTED,
    cause("NUMBER_CHANGED", 22),
    cause("DESTINATION_OUT_OF_ORDER", 27),
    Cause::INVALID_NUMBER_FORMAT,
    Cause::NORMAL_UNSPECIFIED,
    cause("NORMAL_CIRCUIT_CONGESTION", 34),
    cause("NETWORK_OUT_OF_ORDER", 38),
    Cause::NORMAL_TEMPORARY_FAILURE,
    cause("SWITCH_CONGESTION", 42),
    cause("REQUESTED_CHAN_UNAVAIL", 44),
    cause("BEARERCAPABILITY_NOTAUTH", 57),
    cause("FACILITY_NOT_IMPLEMENTED", 69),
    Cause::INCOMPATIBLE_DESTINATION,
    Cause::MANDATORY_IE_MISSING,
    Cause::RECOVERY_ON_TIMER_EXPIRE,
    cause("INTERWORKING", 127),
];

/// The cause of a call that SIP refused with `status` (300 to 699).
pub fn cause_of_status(status: u16) -> Cause {
    match status {
        404 | 604 => cause("UNALLOCATED_NUMBER", 1),
        486 | 600 => Cause::USER_BUSY,
        408 | 480 => Cause::NO_ANSWER,
        401 | 402 | 403 | 407 | 603 | 607 | 608 => Cause::CALL_REJECTED,
        410 => cause("NUMBER_CHANGED", 22),
        484 => Cause::INVALID_NUMBER_FORMAT,
        487 => Cause::ORIGINATOR_CANCEL,
        415 | 488 | 606 => Cause::INCOMPATIBLE_DESTINATION,
        400 => Cause::MANDATORY_IE_MISSING,
        500..=599 => Cause::NORMAL_TEMPORARY_FAILURE,
        _ => Cause::NORMAL_UNSPECIFIED,
    }
}

/// The cause that a `Reason: Q.850;cause=…` names.
pub fn cause_of_q850(number: u16) -> Cause {
    Q850.into_iter()
        .find(|cause| cause.code == number)
        .unwrap_or(Cause::NORMAL_UNSPECIFIED)
}

/// The `Reason` header value towards SIP for the cause that a client gave, or for the default.
pub fn reason_of_cause(cause_code: Option<u16>) -> String {
    let known = cause_code.filter(|code| (1..=127).contains(code));
    format!("Q.850;cause={}", known.unwrap_or(16))
}

/// How a call ends that ended outside SIP: what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Cause.
    pub cause: Cause,
    /// The SIP status that says the same.
    pub sip_code: u16,
    /// In words.
    pub sip_reason: &'static str,
}

const fn end(cause: Cause, sip_code: u16, sip_reason: &'static str) -> End {
    End {
        cause,
        sip_code,
        sip_reason,
    }
}

impl End {
    /// Nobody answered within the ring timeout.
    pub const RING_TIMEOUT: End = end(Cause::NO_ANSWER, 408, "Request Timeout");
    /// The caller gave up.
    pub const CANCELLED: End = end(Cause::ORIGINATOR_CANCEL, 487, "Request Terminated");
    /// The far end was connected with somebody else.
    pub const TRANSFERRED: End = end(Cause::NORMAL_CLEARING, 200, "Transferred");
    /// Another phone has answered.
    pub const ANSWERED_ELSEWHERE: End = end(Cause::LOSE_RACE, 200, "Call completed elsewhere");
    /// The 200 had no SDP, or one that the gateway could not use.
    pub const UNUSABLE_ANSWER: End = end(Cause::INCOMPATIBLE_DESTINATION, 488, "Not Acceptable Here");
    /// The far end has forgotten the call, or cannot be reached any more.
    pub const CARRIER_LOST: End = end(Cause::RECOVERY_ON_TIMER_EXPIRE, 408, "Far end lost");
    /// We leave.
    pub const DRAINING: End = end(Cause::NORMAL_TEMPORARY_FAILURE, 503, "Service is shutting down");
    /// The call was as long as calls may be.
    pub const TOO_LONG: End = end(Cause::ALLOTTED_TIMEOUT, 408, "Maximum call duration reached");
    /// The client did not come back.
    pub const CLIENT_GONE: End = end(Cause::RECOVERY_ON_TIMER_EXPIRE, 408, "Client connection lost");
    /// The operator has evicted the client.
    pub const EVICTED: End = end(
        Cause::NORMAL_TEMPORARY_FAILURE,
        480,
        "Session ended by the operator",
    );
    /// Nothing was dialled, or something that no number is.
    pub const NOT_A_NUMBER: End = end(Cause::INVALID_NUMBER_FORMAT, 484, "Address Incomplete");
    /// Not for this caller.
    pub const NOT_ALLOWED: End = end(Cause::CALL_REJECTED, 403, "Forbidden");
    /// A header that may not be set.
    pub const BAD_HEADER: End = end(Cause::MANDATORY_IE_MISSING, 400, "Bad Request");
}

/// What the client is told when the gateway refuses a command of its call's set-up.
pub const fn end_of_command_error(kind: CommandErrorKind) -> End {
    match kind {
        CommandErrorKind::NoCommonCodec => end(Cause::INCOMPATIBLE_DESTINATION, 488, "Not Acceptable Here"),
        CommandErrorKind::BadSdp => end(Cause::MANDATORY_IE_MISSING, 400, "Bad Session Description"),
        CommandErrorKind::Busy => end(Cause::NORMAL_TEMPORARY_FAILURE, 503, "Media gateway is full"),
        CommandErrorKind::Draining => end(Cause::NORMAL_TEMPORARY_FAILURE, 503, "Media gateway is leaving"),
        CommandErrorKind::LinkDown => MEDIA_GATEWAY_LOST,
        CommandErrorKind::UnknownSession
        | CommandErrorKind::SessionExists
        | CommandErrorKind::WrongState
        | CommandErrorKind::UnknownSound => end(Cause::NORMAL_TEMPORARY_FAILURE, 500, "Media gateway error"),
    }
}

/// The control link is down.
pub const MEDIA_GATEWAY_LOST: End = end(Cause::NORMAL_TEMPORARY_FAILURE, 503, "Media gateway lost");

/// What the client is told when the gateway gives a session up.
pub const fn end_of_gone(reason: GoneReason) -> End {
    match reason {
        GoneReason::IceFailed => end(Cause::MEDIA_TIMEOUT, 408, "No ICE connection"),
        GoneReason::DtlsFailed => end(Cause::INCOMPATIBLE_DESTINATION, 488, "DTLS handshake failed"),
        GoneReason::MediaTimeout => end(Cause::MEDIA_TIMEOUT, 408, "No media"),
        GoneReason::ControlLost | GoneReason::LinkDown => MEDIA_GATEWAY_LOST,
        GoneReason::Shutdown => end(Cause::NORMAL_TEMPORARY_FAILURE, 503, "Media gateway shut down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_the_causes_of_the_dialect() {
        for (status, name, code) in [
            (404, "UNALLOCATED_NUMBER", 1),
            (486, "USER_BUSY", 17),
            (480, "NO_ANSWER", 19),
            (408, "NO_ANSWER", 19),
            (403, "CALL_REJECTED", 21),
            (603, "CALL_REJECTED", 21),
            (503, "NORMAL_TEMPORARY_FAILURE", 41),
            (488, "INCOMPATIBLE_DESTINATION", 88),
            (606, "INCOMPATIBLE_DESTINATION", 88),
            (400, "MANDATORY_IE_MISSING", 96),
            (487, "ORIGINATOR_CANCEL", 487),
            (302, "NORMAL_UNSPECIFIED", 31),
        ] {
            assert_eq!(cause_of_status(status), Cause { name, code }, "{status}");
        }
    }

    #[test]
    fn causes_of_reason_headers_are_read_and_written() {
        assert_eq!(cause_of_q850(17), Cause::USER_BUSY);
        assert_eq!(cause_of_q850(99), Cause::NORMAL_UNSPECIFIED);
        assert_eq!(reason_of_cause(Some(17)), "Q.850;cause=17");
        assert_eq!(reason_of_cause(Some(602)), "Q.850;cause=16");
        assert_eq!(reason_of_cause(None), "Q.850;cause=16");
    }

    #[test]
    fn every_cause_has_a_q850_number() {
        assert_eq!(Cause::ALLOTTED_TIMEOUT.q850(), 102);
        assert_eq!(Cause::ORIGINATOR_CANCEL.q850(), 16);
        assert!(Q850.iter().all(|cause| u16::from(cause.q850()) == cause.code));
    }
}
