//! What a call wants done, and what it remembers of it until the answer comes.

use super::CallKey;
use super::exchange::TransferTo;
use super::successor::Successor;
use crate::output::{ConnectionId, EndedBy, Note};
use offhook_media_control::{Command, Direction};
use offhook_rpc_message::validate::{CustomHeader, Destination};
use offhook_rpc_message::{FrameId, HoldState, Party, ResultBody, RpcError, ServerMessage};
use offhook_sip::Header;
use offhook_sip::user_agent::{IncomingId, LegId, ReferralId};
use std::time::Instant;

/// A client's request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Socket that it came on; an answer on another one would be lost.
    pub(crate) connection: ConnectionId,
    /// To be echoed.
    pub(crate) frame: FrameId,
    /// Bare method, for the trace.
    pub(crate) method: &'static str,
}

/// One thing to do for a call, in order.
#[derive(Debug)]
pub(crate) enum Action {
    /// Tell the client.
    Client(ServerMessage),
    /// Answer a request of the client.
    Reply(Asked, Result<ResultBody, RpcError>),
    /// Command the gateway.
    Media(Command, Purpose),
    /// Send the INVITE.
    Invite(Box<OutgoingCall>, String),
    /// CANCEL or BYE, whichever fits, with this value of `Reason` and the client's headers.
    HangUp(Option<String>, Vec<CustomHeader>),
    /// A client has acknowledged that this leg rings.
    Rings(LegId),
    /// This leg rings here no more, and not because it was answered; with the status that says why, and whose doing it was.
    RingsNoMore(LegId, u16, EndedBy),
    /// Answer the incoming INVITE with this SDP and these headers.
    AnswerIncoming(LegId, String, Vec<CustomHeader>),
    /// Answer a request of the SIP side: status and SDP.
    Respond(IncomingId, u16, Option<String>),
    /// Accept an INVITE that takes the place of the call's leg, with this SDP; with how its media goes, if that is an answer.
    TakeLeg(Box<Successor>, String, Option<Direction>),
    /// Refuse such an INVITE, whose leg is then over.
    RefuseLeg(IncomingId, LegId, u16),
    /// Send a request in the SIP dialog.
    Request(SipRequest, SipPurpose),
    /// Send a request to the party of this leg; nobody waits for its answer.
    Send(LegId, SipRequest),
    /// Call a party that is to take another one's place.
    CallNewcomer(Box<Newcomer>, String),
    /// Offer the far end of another call a place in this one.
    InviteOther(CallKey, String),
    /// The far end of the other call is in this one now.
    TakeOther(CallKey),
    /// The far end of the other call was promised a place, and does not get it: its media goes back to where it was.
    ReturnOther(CallKey),
    /// Two far parties talk now: each is told who the other one is, the first one's name first. Who withholds its number has
    /// none.
    Introduce(Option<Party>, Option<Party>),
    /// The newcomer is the call's far end now.
    Succeed,
    /// End this leg, which is not the call's own, with this value of `Reason`.
    HangUpLeg(LegId, Option<String>),
    /// Tell who asked for a transfer how it goes.
    ReferProgress(LegId, ReferralId, u16),
    /// The far end does not make this transfer, for this status: make it here.
    TransferHere(TransferOrder, u16),
    /// Set or clear a deadline.
    Deadline(CallTimer, Option<Instant>),
    /// Count or log.
    Note(Note),
    /// The client has the call no more; with the message that told it so, if one did.
    Released(Option<Box<ServerMessage>>),
    /// Nothing is left of the call.
    Over,
}

/// What the INVITE of a call needs beside its SDP.
#[derive(Debug)]
pub(crate) struct OutgoingCall {
    /// Whom to call.
    pub(crate) destination: Destination,
    /// Who calls.
    pub(crate) caller: Party,
    /// The one called shall not see who calls.
    pub(crate) hides_caller: bool,
    /// The client's headers.
    pub(crate) headers: Vec<CustomHeader>,
}

/// A party that is called in order to take another one's place.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// Whom to call, and as whom.
    pub(crate) outgoing: OutgoingCall,
    /// Further header lines: who sent us, and instead of which call.
    pub(crate) headers: Vec<Header>,
}

/// A transfer that the client has asked for.
#[derive(Debug, Clone)]
pub(crate) struct TransferOrder {
    /// The client's request, until it is answered.
    pub(crate) asked: Option<Asked>,
    /// `transfer`, `replace`.
    pub(crate) action: &'static str,
    /// To whom.
    pub(crate) to: TransferTo,
}

/// A request in the SIP dialog.
#[derive(Debug)]
pub(crate) enum SipRequest {
    /// re-INVITE with this offer.
    Reinvite(String),
    /// INFO with this digit.
    Digit(char),
    /// MESSAGE with this text.
    Message(String),
    /// UPDATE with this header, which says with whom the far end talks now.
    Identity(Header),
}

/// What a request in the SIP dialog was sent for.
#[derive(Debug)]
pub(crate) enum SipPurpose {
    /// To hold or resume.
    Hold,
    /// To send a digit.
    Digit,
    /// To resume the first of two parties that were connected.
    Resume,
    /// To send a text.
    Message(Asked),
    /// To have the far end make a transfer.
    Transfer,
    /// To give the far end of that call a place in this one.
    Join(CallKey),
}

/// What a command was given for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// To open the session.
    Open,
    /// To apply the SDP of a provisional response, whose headers go to the client.
    EarlyAnswer(Vec<CustomHeader>),
    /// To apply the SDP of the 200, whose headers go to the client.
    FinalAnswer(Vec<CustomHeader>),
    /// To make the offer for a client that is called.
    Offer,
    /// To apply the answer of a client that was called.
    Accept,
    /// To send digits.
    Dtmf(Asked, String),
    /// To answer a new offer of the client.
    UpdateMedia(Asked),
    /// To answer a new offer of the SIP side.
    CarrierOffer(IncomingId),
    /// To make the offer that starts the client's media anew.
    AttachOffer,
    /// To apply the client's answer to it.
    AttachAnswer(Asked),
    /// To answer the offer of a new far end, which takes the place of the one before.
    Replacement,
    /// To make the offer for a party that is to take another one's place.
    NewcomerOffer,
    /// To put it there.
    Newcomer,
    /// To answer a new offer of the second party of two that were connected.
    SecondOffer(IncomingId),
    /// To make the offer that it asked for.
    OfferForSecond(IncomingId),
    /// To make the offer that resumes the first of them, which the client had on hold.
    ResumeOffer,
    /// To make the offer that the SIP side asked for.
    OfferForCarrier(IncomingId),
    /// To apply the SIP side's answer to an offer in a 200 of ours.
    LateAnswer,
    /// To make the offer that holds or resumes.
    HoldOffer,
    /// To apply the answer to it.
    HoldAnswer,
    /// To hold or resume the client's audio.
    Hold,
    /// To close the session.
    Close,
    /// For something whose outcome changes nothing: candidates, ringback.
    Nothing,
}

impl Purpose {
    /// The client's request that it was given for.
    pub(crate) fn asked(self) -> Option<Asked> {
        match self {
            Purpose::Dtmf(asked, _) | Purpose::UpdateMedia(asked) | Purpose::AttachAnswer(asked) => {
                Some(asked)
            }
            _ => None,
        }
    }
}

impl SipPurpose {
    /// The client's request that it was sent for.
    pub(crate) fn asked(self) -> Option<Asked> {
        match self {
            SipPurpose::Message(asked) => Some(asked),
            SipPurpose::Hold
            | SipPurpose::Digit
            | SipPurpose::Resume
            | SipPurpose::Transfer
            | SipPurpose::Join(_) => None,
        }
    }
}

/// A change of hold on its way.
#[derive(Debug)]
pub(crate) struct HoldChange {
    /// Who asked; none once it was told that it takes too long.
    pub(crate) asked: Option<Asked>,
    /// `hold`, `unhold`, `toggleHold`.
    pub(crate) action: &'static str,
    /// State after it.
    pub(crate) target: HoldState,
}

/// Deadlines of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum CallTimer {
    /// Of the state: how long to ring, to last, to close.
    State,
    /// Of the client's answer to an attach.
    Attach,
    /// Of a transfer that we make.
    Transfer,
    /// Of a change of hold that an offer of the far end was in the way of.
    Retry,
    /// Of a change of hold: the SDK closes its socket when it has no answer after 10 s.
    Hold,
}
