//! A gateway that replies by script.

use offhook_media_control::{Command, CommandError, CommandErrorKind, MediaSessionId, Reply, SessionSummary};
use offhook_vsp::MediaToken;
use std::collections::{HashMap, VecDeque};

/// What it offers the leg that did not offer.
pub(crate) const CARRIER_OFFER: &str = "v=0\r\no=gateway offer\r\n";
/// What it answers the leg that did.
pub(crate) const CLIENT_ANSWER: &str = "v=0\r\no=gateway answer\r\n";

/// A gateway that replies at once with fixed SDPs, unless told otherwise.
#[derive(Default)]
pub(crate) struct Gateway {
    pub(crate) commands: Vec<Command>,
    /// Errors for commands by tag.
    pub(crate) refuse: HashMap<&'static str, CommandErrorKind>,
    /// Replies wait here when true.
    pub(crate) hold_replies: bool,
    pub(crate) held: VecDeque<(MediaToken, Command)>,
    pub(crate) telephone_event: bool,
    pub(crate) answered: HashMap<MediaSessionId, bool>,
}

impl Gateway {
    pub(crate) fn reply(&mut self, command: &Command) -> Result<Reply, CommandError> {
        if let Some(kind) = self.refuse.get(tag(command).as_str()) {
            return Err(CommandError {
                kind: *kind,
                message: "refused by the script".to_owned(),
            });
        }
        Ok(match command {
            Command::Open {
                session,
                early_answer,
                ..
            } => {
                self.answered.insert(session.clone(), *early_answer);
                let answer = early_answer.then(|| CLIENT_ANSWER.to_owned());
                Reply::Opened {
                    offer: CARRIER_OFFER.to_owned(),
                    answer,
                }
            }
            Command::Answer { session, .. } => {
                let first = self.answered.insert(session.clone(), true) == Some(false);
                Reply::Answered {
                    answer: first.then(|| CLIENT_ANSWER.to_owned()),
                }
            }
            Command::Reoffer { from, sdp, .. } => Reply::Reoffered {
                answer: format!("v=0\r\no=answer to {from:?}\r\n"),
                direction: if sdp.contains("sendonly") {
                    offhook_media_control::Direction::SendOnly
                } else {
                    offhook_media_control::Direction::SendRecv
                },
            },
            Command::MakeOffer { direction, .. } => Reply::Offered {
                offer: format!("v=0\r\no=offer {direction:?}\r\n"),
            },
            Command::Dtmf { .. } => Reply::DtmfTaken {
                as_telephone_event: self.telephone_event,
            },
            Command::Close { .. } => Reply::Closed {
                summary: SessionSummary {
                    duration_ms: 1,
                    ..Default::default()
                },
            },
            Command::PrepareReplacement { leg, .. } => Reply::Offered {
                offer: format!("v=0\r\no=offer in place of {leg:?}\r\n"),
            },
            Command::Candidate { .. }
            | Command::Replace { .. }
            | Command::DropReplacement { .. }
            | Command::Ringing { .. }
            | Command::Hold { .. }
            | Command::Play { .. }
            | Command::StopPlaying { .. }
            | Command::Latch { .. }
            | Command::Ping {} => Reply::Done {},
        })
    }
}

pub(crate) fn tag(command: &Command) -> String {
    serde_json::to_value(command).unwrap()["method"]
        .as_str()
        .unwrap()
        .to_owned()
}
