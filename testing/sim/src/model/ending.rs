//! How a call may end for a client.

/// Cause, its number, and the SIP status that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// `cause`, and another one that is as good where two ends of one timer meet.
    pub causes: [(&'static str, u64); 2],
    /// `sipCode`, for the first cause, and another one that is as good where two refusals meet.
    pub sip_codes: [Option<u64>; 2],
}

const fn ending(cause: &'static str, code: u64, sip_code: Option<u64>) -> Ending {
    Ending {
        causes: [(cause, code); 2],
        sip_codes: [sip_code; 2],
    }
}

impl Ending {
    /// Somebody has hung up.
    pub const NORMAL: Ending = ending("NORMAL_CLEARING", 16, None);
    /// The client itself, before the answer.
    pub const OWN_EARLY: Ending = ending("USER_BUSY", 17, None);
    /// The caller gave up.
    pub const GIVEN_UP: Ending = ending("ORIGINATOR_CANCEL", 487, Some(487));
    /// Another client was faster.
    pub const LOST_RACE: Ending = ending("LOSE_RACE", 502, Some(200));
    /// Nobody answered in time.
    pub const NO_ANSWER: Ending = ending("NO_ANSWER", 19, Some(408));
    /// Caller and callee wait equally long: either may be first.
    pub const RUNG_OUT_OR_GIVEN_UP: Ending = Ending {
        causes: [("ORIGINATOR_CANCEL", 487), ("NO_ANSWER", 19)],
        sip_codes: [Some(487); 2],
    };
    /// The client that was called is gone, and at the other node nobody is there: of two refusals one is told.
    pub const NOBODY_LEFT: Ending = Ending {
        causes: [("NO_ANSWER", 19); 2],
        sip_codes: [Some(408), Some(480)],
    };
    /// The other client did not come back.
    pub const CLIENT_GONE: Ending = ending("RECOVERY_ON_TIMER_EXPIRE", 102, None);
    /// The client came back too late, and finds out by itself.
    pub const NOT_REATTACHED: Ending = ending("SESSION_NOT_REATTACHED", 48_501, None);
    /// The gateway is lost.
    pub const NO_MEDIA: Ending = ending("NORMAL_TEMPORARY_FAILURE", 41, Some(503));
    /// The other end had no media any more, or no gateway.
    pub const FAR_MEDIA_GONE: Ending = ending("NORMAL_TEMPORARY_FAILURE", 41, None);
    /// The gateway has lost the session of this client.
    pub const MEDIA_GONE: Ending = ending("MEDIA_TIMEOUT", 604, Some(408));
    /// The far end does not answer any more.
    pub const FAR_END_LOST: Ending = ending("RECOVERY_ON_TIMER_EXPIRE", 102, Some(408));
    /// The node leaves.
    pub const DRAINING: Ending = ending("NORMAL_TEMPORARY_FAILURE", 41, Some(503));
    /// The node of the other client leaves.
    pub const FAR_NODE_LEFT: Ending = ending("NORMAL_TEMPORARY_FAILURE", 41, None);
    /// The far end talks to somebody else.
    pub const TRANSFERRED: Ending = ending("NORMAL_CLEARING", 16, Some(200));

    /// Whether what a client was told is this.
    pub fn allows(&self, cause: &str, code: u64, sip_code: Option<u64>) -> bool {
        let named = self.causes.contains(&(cause, code));
        named && ((cause, code) != self.causes[0] || self.sip_codes.contains(&sip_code))
    }
}

/// What a caller is told about a refusal with this status.
pub fn ending_of_status(status: u16) -> Ending {
    let (cause, code) = match status {
        404 => ("UNALLOCATED_NUMBER", 1),
        486 => ("USER_BUSY", 17),
        408 | 480 => ("NO_ANSWER", 19),
        403 | 603 => ("CALL_REJECTED", 21),
        487 => ("ORIGINATOR_CANCEL", 487),
        488 => ("INCOMPATIBLE_DESTINATION", 88),
        500..=599 => ("NORMAL_TEMPORARY_FAILURE", 41),
        _ => ("NORMAL_UNSPECIFIED", 31),
    };
    ending(cause, code, Some(u64::from(status)))
}

/// How much a refusal of one client counts against those of others: what a person does, more than what happens.
pub(super) fn weight(status: u16) -> u8 {
    match status {
        0 => 0,
        487 => 3,
        408 | 480 => 1,
        _ => 2,
    }
}
