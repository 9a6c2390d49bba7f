//! Transfers (RFC 3515): REFER within a call in both directions, and the NOTIFYs that tell how it went.

use super::api::{ActionError, LegId, NameAddr, OutgoingRequest, Reply, RequestId};
use super::compose;
use super::extensions::Notice;
use super::leg::Leg;
use super::mid_call::Purpose;
use super::referral::{self, Referral};
use super::replaces::ReplacedDialog;
use super::{Body, UserAgent};
use crate::extra_header::Header;
use crate::transaction::ServerTransactionId;
use offhook_sip_message::header::CSeq;
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method, StatusCode, UriBuf};
use std::time::{Duration, Instant};

/// REFERs of one call that may be under way at a time in each direction. One is what a phone has; two are a retry that
/// crosses its predecessor's end. Over it theirs get 500 with Retry-After.
const REFERRALS_MAX: usize = 2;

/// REFERs of theirs that one call may see in its life: who sends more is in a loop. Over it they get 482.
const REFERRALS_PER_CALL_MAX: u32 = 16;

/// How long the outcome of a transfer is waited for, in both directions: a phone rings no longer.
const SUBSCRIPTION: Duration = Duration::from_secs(180);

/// A REFER that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReferralId(u64);

/// A transfer to ask for.
#[derive(Debug, Clone)]
pub struct OutgoingRefer {
    /// Whom the other side shall call.
    pub to: UriBuf,
    /// The call of ours that this new call takes the place of, for an attended transfer.
    pub replaces: Option<ReplacedDialog>,
    /// Who asks (RFC 3892).
    pub referred_by: Option<NameAddr>,
    /// Further header lines.
    pub headers: Vec<Header>,
}

/// The transfers of one call.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    ours: Vec<Ours>,
    theirs: Vec<Theirs>,
    seen: u32,
}

/// A REFER of ours.
#[derive(Debug)]
struct Ours {
    request: RequestId,
    /// CSeq of the REFER, which is the `id` of its NOTIFYs.
    cseq: u32,
    last: StatusCode,
    until: Instant,
}

/// A REFER of theirs.
#[derive(Debug)]
struct Theirs {
    id: ReferralId,
    cseq: u32,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The owner has not decided.
    Asked {
        incoming: ServerTransactionId,
        /// They want no NOTIFYs (RFC 4488).
        silent: bool,
    },
    /// NOTIFYs go out.
    Accepted { until: Instant },
}

impl Transfers {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ours = self.ours.iter().map(|ours| ours.until);
        let theirs = self.theirs.iter().filter_map(|theirs| match theirs.phase {
            Phase::Accepted { until } => Some(until),
            Phase::Asked { .. } => None,
        });
        ours.chain(theirs).min()
    }

    /// A REFER of theirs that ended before the owner decided.
    pub(super) fn forget(&mut self, transaction: ServerTransactionId) {
        self.theirs.retain(
            |theirs| !matches!(theirs.phase, Phase::Asked { incoming, .. } if incoming == transaction),
        );
    }
}

impl UserAgent {
    /// Whether the other side may take a REFER: false only where its Allow does not name it.
    pub fn may_refer(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| !leg.peer.no_refer)
    }

    /// Asks the other side to call somebody. `Response` tells whether it will; then [`Notice::ReferProgress`] how that
    /// goes, if `transfers` is switched on.
    pub fn refer(
        &mut self,
        now: Instant,
        leg: LegId,
        refer: OutgoingRefer,
    ) -> Result<RequestId, ActionError> {
        let entry = self.legs.get(&leg).ok_or(ActionError::Gone)?;
        if entry.transfers.ours.len() >= REFERRALS_MAX {
            return Err(ActionError::State("a transfer of this call is under way"));
        }
        let to = referral::refer_to(&refer.to, refer.replaces.as_ref());
        let header = |name, value: &HeaderValue| {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| ActionError::Unwritable)?;
            Header::new(name, text).map_err(|_| ActionError::Unwritable)
        };
        let mut headers = vec![header("Refer-To", &to.map_err(|_| ActionError::Unwritable)?)?];
        if let Some(by) = &refer.referred_by {
            headers.push(header("Referred-By", &compose::name_addr(by, None)?)?);
        }
        headers.extend(refer.headers);
        let outgoing = OutgoingRequest {
            method: Method::Refer,
            headers,
            body: None,
        };
        self.request(now, leg, outgoing)
    }

    /// A REFER of ours goes out, or goes out again with credentials: its NOTIFYs may be faster than its answer.
    pub(super) fn note_refer(&mut self, now: Instant, leg_id: LegId, request: RequestId, refer: &Message) {
        let Ok(CSeq { number, .. }) = refer.require::<CSeq>() else {
            return;
        };
        let Some(leg) = self.legs.get_mut(&leg_id).filter(|_| self.extensions.transfers) else {
            return;
        };
        let ours = &mut leg.transfers.ours;
        if let Some(ours) = ours.iter_mut().find(|ours| ours.request == request) {
            ours.cseq = number;
        } else if ours.len() < REFERRALS_MAX {
            ours.push(Ours {
                request,
                cseq: number,
                last: StatusCode::TRYING,
                until: now + SUBSCRIPTION,
            });
        }
        self.retime(leg_id);
    }

    /// A REFER of ours was answered, or was not (`None`).
    pub(super) fn settle_refer(&mut self, leg_id: LegId, request: RequestId, response: Option<&Message>) {
        let accepted = response.filter(|response| response.status().is_some_and(StatusCode::is_success));
        let silent = accepted.is_some_and(says_no_subscription);
        if accepted.is_some() && !silent {
            return;
        }
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let known = leg.transfers.ours.len();
        leg.transfers.ours.retain(|ours| ours.request != request);
        let was_known = leg.transfers.ours.len() < known;
        if let (true, true, Some(status)) = (was_known, silent, response.and_then(Message::status)) {
            self.push_notice(Notice::ReferProgress {
                leg: leg_id,
                request,
                status,
                finished: true,
            });
        }
        self.retime(leg_id);
    }

    /// A NOTIFY within a call: how the transfer goes that we asked for (RFC 3515 §2.4.5).
    pub(super) fn handle_notify(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        request: &Message,
    ) {
        let Some(event) = referral::NotifyEvent::of(request) else {
            return self.reply(now, id, StatusCode::BAD_EVENT);
        };
        let known = self.legs.get_mut(&leg_id).and_then(|leg| {
            let position = leg
                .transfers
                .ours
                .iter()
                .position(|ours| event.is_for(ours.cseq))?;
            Some((&mut leg.transfers, position))
        });
        let Some((transfers, position)) = known else {
            return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST);
        };
        let ours = &mut transfers.ours[position];
        if let Some(status) = event.status {
            ours.last = status;
        }
        let (request, status) = (ours.request, ours.last);
        let finished = event.terminated || status.is_final();
        if finished {
            transfers.ours.remove(position);
        }
        self.reply(now, id, StatusCode::OK);
        self.push_notice(Notice::ReferProgress {
            leg: leg_id,
            request,
            status: if finished { final_of(status) } else { status },
            finished,
        });
        self.retime(leg_id);
    }

    /// A REFER within a call: checked, then the owner decides.
    pub(super) fn handle_refer(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        leg_id: LegId,
        request: Message,
    ) {
        let cseq = request.require::<CSeq>().map_err(|_| StatusCode::BAD_REQUEST);
        let (to, number) = match Referral::of(&request).and_then(|to| Ok((to, cseq?.number))) {
            Ok(read) => read,
            Err(status) => return self.reply(now, id, status),
        };
        let referral = ReferralId(self.new_id());
        let Some(leg) = self.legs.get_mut(&leg_id).filter(|leg| leg.is_live()) else {
            return self.reply(now, id, StatusCode::CALL_DOES_NOT_EXIST);
        };
        leg.transfers.seen = leg.transfers.seen.saturating_add(1);
        if leg.transfers.seen > REFERRALS_PER_CALL_MAX {
            return self.reply(now, id, StatusCode::LOOP_DETECTED);
        }
        if leg.transfers.theirs.len() >= REFERRALS_MAX {
            return self.reply(now, id, StatusCode::SERVER_INTERNAL_ERROR);
        }
        leg.pending.push(id);
        leg.transfers.theirs.push(Theirs {
            id: referral,
            cseq: number,
            phase: Phase::Asked {
                incoming: id,
                silent: says_no_subscription(&request),
            },
        });
        self.push_notice(Notice::ReferRequested {
            leg: leg_id,
            referral,
            to: Box::new(to),
            request,
        });
    }

    /// The owner will call: 202, and NOTIFY that it is being tried. Tell more with [`Self::refer_progress`].
    pub fn accept_refer(
        &mut self,
        now: Instant,
        leg: LegId,
        referral: ReferralId,
    ) -> Result<(), ActionError> {
        let (incoming, silent) = self.undecided(leg, referral)?;
        let mut reply = Reply::new(StatusCode::ACCEPTED);
        if silent {
            reply.headers.extend(Header::new("Refer-Sub", "false"));
        }
        let transfers = &mut self.legs.get_mut(&leg).ok_or(ActionError::Gone)?.transfers;
        if silent {
            transfers.theirs.retain(|theirs| theirs.id != referral);
        } else if let Some(theirs) = transfers.theirs.iter_mut().find(|theirs| theirs.id == referral) {
            theirs.phase = Phase::Accepted {
                until: now + SUBSCRIPTION,
            };
        }
        self.answer(now, incoming, &reply)?;
        if !silent {
            self.notify(now, leg, referral, StatusCode::TRYING)?;
        }
        self.retime(leg);
        self.pump(now);
        Ok(())
    }

    /// The owner will not call: `status`, 603 as a rule.
    pub fn decline_refer(
        &mut self,
        now: Instant,
        leg: LegId,
        referral: ReferralId,
        status: StatusCode,
    ) -> Result<(), ActionError> {
        if status.is_provisional() || status.is_success() {
            return Err(ActionError::State("a refusal has a status from 300 on"));
        }
        let (incoming, _) = self.undecided(leg, referral)?;
        self.answer(now, incoming, &Reply::new(status))?;
        self.pump(now);
        Ok(())
    }

    /// How the call goes that the other side asked for: NOTIFY with `status`; a final one is the last. `Gone` once that
    /// is said, after three minutes, or where the other side wanted to hear nothing.
    pub fn refer_progress(
        &mut self,
        now: Instant,
        leg: LegId,
        referral: ReferralId,
        status: StatusCode,
    ) -> Result<(), ActionError> {
        self.notify(now, leg, referral, status)?;
        self.retime(leg);
        self.pump(now);
        Ok(())
    }

    fn undecided(
        &self,
        leg: LegId,
        referral: ReferralId,
    ) -> Result<(ServerTransactionId, bool), ActionError> {
        let leg = self.legs.get(&leg).ok_or(ActionError::Gone)?;
        let theirs = leg.transfers.theirs.iter().find(|theirs| theirs.id == referral);
        match theirs.ok_or(ActionError::Gone)?.phase {
            Phase::Asked { incoming, silent } => Ok((incoming, silent)),
            Phase::Accepted { .. } => Err(ActionError::State("the REFER was answered before")),
        }
    }

    fn notify(
        &mut self,
        now: Instant,
        leg_id: LegId,
        referral: ReferralId,
        status: StatusCode,
    ) -> Result<(), ActionError> {
        let leg = self.legs.get_mut(&leg_id).ok_or(ActionError::Gone)?;
        let theirs = &mut leg.transfers.theirs;
        let position = theirs
            .iter()
            .position(|theirs| theirs.id == referral)
            .ok_or(ActionError::Gone)?;
        let (cseq, left) = match &theirs[position] {
            Theirs {
                phase: Phase::Asked { .. },
                ..
            } => return Err(ActionError::State("accept the REFER first")),
            Theirs {
                cseq,
                phase: Phase::Accepted { until },
                ..
            } => (*cseq, until.saturating_duration_since(now)),
        };
        if status.is_final() {
            theirs.remove(position);
        }
        let state = match status.is_final() {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={}", left.as_secs()),
        };
        let header = |name, value: &str| Header::new(name, value).map_err(|_| ActionError::Unwritable);
        let outgoing = OutgoingRequest {
            method: Method::Notify,
            headers: vec![
                header("Event", &format!("refer;id={cseq}"))?,
                header("Subscription-State", &state)?,
            ],
            body: Some(Body {
                content_type: HeaderValue::new("message/sipfrag;version=2.0").expect("has no line break"),
                bytes: format!("SIP/2.0 {status} {}\r\n", status.phrase()).into(),
            }),
        };
        self.send_within(now, leg_id, Purpose::Notify(referral), outgoing)
    }

    /// A NOTIFY of ours was refused: they have forgotten the subscription, which ends nothing else (RFC 5057 §5.2).
    pub(super) fn handle_notify_refused(&mut self, leg_id: LegId, referral: ReferralId) {
        if let Some(leg) = self.legs.get_mut(&leg_id) {
            leg.transfers.theirs.retain(|theirs| theirs.id != referral);
        }
        self.retime(leg_id);
    }

    /// Transfers whose outcome nobody told in time.
    pub(super) fn handle_transfer_timeout(&mut self, now: Instant, leg_id: LegId) {
        let Some(leg) = self.legs.get_mut(&leg_id) else {
            return;
        };
        let (ours, theirs) = take_expired(leg, now);
        for request in ours {
            self.push_notice(Notice::ReferProgress {
                leg: leg_id,
                request,
                status: StatusCode::REQUEST_TIMEOUT,
                finished: true,
            });
        }
        for referral in theirs {
            let told = self.notify(now, leg_id, referral, StatusCode::REQUEST_TIMEOUT);
            if let Err(error) = told {
                tracing::debug!(%error, "could not end the subscription of a transfer");
                self.handle_notify_refused(leg_id, referral);
            }
        }
    }
}

fn take_expired(leg: &mut Leg, now: Instant) -> (Vec<RequestId>, Vec<ReferralId>) {
    let transfers = &mut leg.transfers;
    let ours = transfers
        .ours
        .extract_if(.., |ours| ours.until <= now)
        .map(|ours| ours.request)
        .collect();
    let expired = |theirs: &&Theirs| matches!(theirs.phase, Phase::Accepted { until } if until <= now);
    let theirs = transfers
        .theirs
        .iter()
        .filter(expired)
        .map(|theirs| theirs.id)
        .collect();
    (ours, theirs)
}

/// A subscription that ended without a final status has told nothing: treated as a time-out.
fn final_of(status: StatusCode) -> StatusCode {
    if status.is_final() {
        status
    } else {
        StatusCode::REQUEST_TIMEOUT
    }
}

/// `Refer-Sub: false` (RFC 4488 §4).
fn says_no_subscription(message: &Message) -> bool {
    const REFER_SUB: HeaderName<'static> = HeaderName::custom("Refer-Sub");
    message.first(REFER_SUB).is_some_and(|value| {
        let word = value.split(|b| *b == b';').next().unwrap_or_default();
        word.trim_ascii().eq_ignore_ascii_case(b"false")
    })
}
