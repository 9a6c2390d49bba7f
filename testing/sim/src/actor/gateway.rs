//! Stands for the media gateway: answers the control link and knows which sessions it holds. It moves no media.

use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Direction, Event, GoneReason, MediaSessionId, Reply,
    SessionSummary,
};
use std::collections::BTreeSet;

/// Stands in an offer that puts the other side on hold.
pub(super) const HOLDS: &str = "sendonly";

/// The gateway's side of the control link.
#[derive(Debug, Default)]
pub struct Gateway {
    sessions: BTreeSet<MediaSessionId>,
    /// Sessions that were opened.
    pub opened_total: u64,
    /// Digits that it was to send.
    pub digits: String,
    /// What the next `open` is refused with.
    pub refuse_next_open: Option<CommandErrorKind>,
}

impl Gateway {
    /// Sessions held now.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Does what a command says.
    pub fn handle_command(&mut self, command: Command) -> Result<Reply, CommandError> {
        match command {
            Command::Open {
                session,
                early_answer,
                sdp,
                ..
            } => self.open(session, &sdp.unwrap_or_default(), early_answer),
            Command::Answer {
                session, is_final, ..
            } => {
                let answer = format!("answer to the client, final {is_final}");
                self.known(&session)
                    .map(|()| Reply::Answered { answer: Some(answer) })
            }
            Command::Reoffer { session, sdp, .. } => self.known(&session).map(|()| Reply::Reoffered {
                answer: "answer to a new offer".into(),
                direction: match sdp.contains(HOLDS) {
                    true => Direction::SendOnly,
                    false => Direction::SendRecv,
                },
            }),
            Command::MakeOffer {
                session, direction, ..
            } => self.known(&session).map(|()| Reply::Offered {
                offer: match direction {
                    Direction::SendOnly => format!("offer of ours, {HOLDS}"),
                    _ => "offer of ours".into(),
                },
            }),
            Command::PrepareReplacement { session, .. } => self.known(&session).map(|()| Reply::Offered {
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
            | Command::Latch { session, .. } => self.known(&session).map(|()| Reply::Done {}),
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

    /// One of its sessions dies by itself.
    pub fn lose_one(&mut self) -> Option<Event> {
        let session = self.sessions.pop_first()?;
        Some(Event::Gone {
            session,
            reason: GoneReason::IceFailed,
            message: "no connectivity check for 30 s".into(),
            summary: SessionSummary::default(),
        })
    }

    fn open(
        &mut self,
        session: MediaSessionId,
        sdp: &str,
        early_answer: bool,
    ) -> Result<Reply, CommandError> {
        if let Some(kind) = self.refuse_next_open.take() {
            return Err(CommandError {
                kind,
                message: "as the scene wants it".into(),
            });
        }
        if !self.sessions.insert(session.clone()) {
            return Err(CommandError {
                kind: CommandErrorKind::SessionExists,
                message: format!("{session:?}"),
            });
        }
        self.opened_total += 1;
        let answer = early_answer.then(|| format!("early answer to {sdp}"));
        Ok(Reply::Opened {
            offer: "offer to the carrier".into(),
            answer,
        })
    }

    fn known(&self, session: &MediaSessionId) -> Result<(), CommandError> {
        if self.sessions.contains(session) {
            return Ok(());
        }
        Err(CommandError {
            kind: CommandErrorKind::UnknownSession,
            message: format!("{session:?}"),
        })
    }
}
