//! Stands for the media gateway: answers the control link and knows which sessions it holds. It moves no media.

use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Direction, Event, GoneReason, LegName, MediaSessionId, Reply,
    SessionSummary,
};
use std::collections::BTreeMap;

/// Stands in an offer that puts the other side on hold.
pub(super) const HOLDS: &str = "sendonly";
/// Comes before the name of the call in every SDP that begins one.
pub(super) const FOR: &str = " for ";

/// The gateway's side of the control link.
#[derive(Debug, Default)]
pub struct Gateway {
    sessions: BTreeMap<MediaSessionId, Session>,
    /// Sessions that were opened.
    pub opened_total: u64,
    /// Digits that it was to send.
    pub digits: String,
    /// What the next `open` is refused with.
    pub refuse_next_open: Option<CommandErrorKind>,
}

#[derive(Debug)]
struct Session {
    /// The VSP that has opened it.
    node: usize,
    /// Whose SDP it was opened with.
    from: LegName,
    /// What the call is called from end to end.
    tag: String,
    /// The client holds the far end.
    holds: bool,
}

impl Gateway {
    /// Sessions held now.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Does what a command of a VSP says.
    pub fn handle_command(&mut self, node: usize, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::Open {
                session,
                from,
                early_answer,
                sdp,
                ..
            } => self.open(session, (node, from), &sdp.unwrap_or_default(), early_answer),
            Command::Answer {
                session, is_final, ..
            } => {
                let answer = format!("answer to the client, final {is_final}");
                self.known(&session)
                    .map(|_| Reply::Answered { answer: Some(answer) })
            }
            Command::Reoffer { session, sdp, .. } => self.known(&session).map(|of| Reply::Reoffered {
                answer: of.describe("answer to a new offer"),
                direction: match sdp.contains(HOLDS) {
                    true => Direction::SendOnly,
                    false => Direction::SendRecv,
                },
            }),
            Command::MakeOffer {
                session,
                to,
                direction,
                ..
            } => self.known(&session).map(|of| {
                if to == LegName::Carrier {
                    of.holds = direction == Direction::SendOnly;
                }
                Reply::Offered {
                    offer: of.describe("offer of ours"),
                }
            }),
            Command::PrepareReplacement { session, .. } => self.known(&session).map(|_| Reply::Offered {
                offer: "offer of ours".into(),
            }),
            Command::Dtmf { session, digits, .. } => {
                self.known(&session)?;
                self.digits.push_str(&digits);
                Ok(Reply::DtmfTaken {
                    as_telephone_event: true,
                })
            }
            Command::Candidate { session, .. }
            | Command::Replace { session, .. }
            | Command::DropReplacement { session }
            | Command::Ringing { session }
            | Command::Hold { session, .. }
            | Command::Play { session, .. }
            | Command::StopPlaying { session, .. }
            | Command::Latch { session, .. } => self.known(&session).map(|_| Reply::Done {}),
            Command::Close { session } => {
                self.known(&session)?;
                self.sessions.remove(&session);
                Ok(Reply::Closed {
                    summary: SessionSummary::default(),
                })
            }
            Command::Ping {} => Ok(Reply::Done {}),
        }
    }

    /// The first of its sessions dies by itself; which VSP hears of it, and what.
    pub fn lose_one(&mut self) -> Option<(usize, Event)> {
        let (session, of) = self.sessions.pop_first()?;
        Some((of.node, gone(session)))
    }

    /// The session of one side of a call dies: of the client that placed it, or of one that was called.
    pub fn lose_session_of(&mut self, tag: &str, from: LegName) -> Option<(usize, Event)> {
        let wanted = |session: &Session| session.tag == tag && session.from == from;
        let id = self
            .sessions
            .iter()
            .find(|(_, session)| wanted(session))?
            .0
            .clone();
        let of = self.sessions.remove(&id)?;
        Some((of.node, gone(id)))
    }

    fn open(
        &mut self,
        id: MediaSessionId,
        (node, from): (usize, LegName),
        sdp: &str,
        early_answer: bool,
    ) -> Result<Reply, CommandError> {
        if let Some(kind) = self.refuse_next_open.take() {
            return Err(CommandError {
                kind,
                message: "as the scene wants it".into(),
            });
        }
        if self.sessions.contains_key(&id) {
            return Err(CommandError {
                kind: CommandErrorKind::SessionExists,
                message: format!("{id:?}"),
            });
        }
        self.opened_total += 1;
        let answer = early_answer.then(|| format!("early answer to {sdp}"));
        let tag = sdp.rsplit_once(FOR).map_or("", |(_, tag)| tag).to_owned();
        let offer = format!("offer to the carrier{FOR}{tag}");
        let session = Session {
            node,
            from,
            tag,
            holds: false,
        };
        self.sessions.insert(id, session);
        Ok(Reply::Opened { offer, answer })
    }

    fn known(&mut self, session: &MediaSessionId) -> Result<&mut Session, CommandError> {
        self.sessions.get_mut(session).ok_or_else(|| CommandError {
            kind: CommandErrorKind::UnknownSession,
            message: format!("{session:?}"),
        })
    }
}

impl Session {
    fn describe(&self, what: &str) -> String {
        match self.holds {
            true => format!("{what}, {HOLDS}"),
            false => what.to_owned(),
        }
    }
}

fn gone(session: MediaSessionId) -> Event {
    Event::Gone {
        session,
        reason: GoneReason::IceFailed,
        message: "no connectivity check for 30 s".into(),
        summary: SessionSummary::default(),
    }
}
