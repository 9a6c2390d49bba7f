//! Control links at the router: how a front end enters and asks, and what the router keeps for it.

use crate::params::OpenRequest;
use offhook_media_control::{Command, CommandError, CommandErrorKind, Event, Reply};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Inputs from links that wait for the router.
const INPUTS_MAX: usize = 1024;
/// Events kept for a link that is gone or slow; beyond that only the end of sessions is kept.
const BACKLOG_MAX: usize = 4096;

pub(super) type ReplySender = oneshot::Sender<Result<Reply, CommandError>>;

/// A command and where its reply goes.
pub type CommandRequest = (Command, oneshot::Sender<Result<Reply, CommandError>>);

/// The gateway's end of a link within the process. Signalling holds the other ends of both channels. Dropping the
/// command sender is losing the link: its sessions end after the grace time.
#[derive(Debug)]
pub struct LocalLink {
    /// Name of the link; unique, and the same again when signalling comes back.
    pub name: String,
    /// What signalling asks.
    pub commands: mpsc::Receiver<CommandRequest>,
    /// What the gateway tells. Give it room for a few hundred events; more wait on the gateway's side.
    pub events: mpsc::Sender<Event>,
}

/// How links reach the router.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    inputs: mpsc::Sender<Input>,
}

/// A link's place at the router; leaving it is losing the link.
#[derive(Debug)]
pub(crate) struct LinkEntry {
    name: Arc<str>,
    incarnation: u64,
    inputs: mpsc::Sender<Input>,
}

/// What links ask of the router.
#[derive(Debug)]
pub(super) enum Input {
    LinkUp {
        name: Arc<str>,
        events: mpsc::Sender<Event>,
        wants_traces: bool,
        entered: oneshot::Sender<u64>,
    },
    LinkDown {
        name: Arc<str>,
        incarnation: u64,
    },
    Command {
        link: Arc<str>,
        command: Box<Command>,
        reply: ReplySender,
    },
    /// From `ng`, which says more than [`Command::Open`].
    Open {
        link: Arc<str>,
        request: Box<OpenRequest>,
        reply: ReplySender,
    },
}

impl Links {
    /// The entrance, and what comes in by it.
    pub(super) fn new() -> (Self, mpsc::Receiver<Input>) {
        let (inputs, receiver) = mpsc::channel(INPUTS_MAX);
        (Self { inputs }, receiver)
    }

    /// Brings a link up. One of the same name is replaced, and its sessions are taken over. `None` if the gateway is
    /// gone or has too many links.
    pub(crate) async fn enter(
        &self,
        name: String,
        events: mpsc::Sender<Event>,
        wants_traces: bool,
    ) -> Option<LinkEntry> {
        let name: Arc<str> = name.into();
        let (entered, incarnation) = oneshot::channel();
        let input = Input::LinkUp {
            name: name.clone(),
            events,
            wants_traces,
            entered,
        };
        self.inputs.send(input).await.ok()?;
        Some(LinkEntry {
            name,
            incarnation: incarnation.await.ok()?,
            inputs: self.inputs.clone(),
        })
    }
}

impl LinkEntry {
    /// Asks for a command to be done.
    pub(crate) async fn command(&self, command: Command, reply: ReplySender) {
        let input = Input::Command {
            link: self.name.clone(),
            command: Box::new(command),
            reply,
        };
        // If the router is gone the reply is dropped, which the asker notices.
        let _ = self.inputs.send(input).await;
    }

    /// Asks for a session to be opened.
    pub(crate) async fn open(&self, request: OpenRequest) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Open {
            link: self.name.clone(),
            request: Box::new(request),
            reply,
        };
        let _ = self.inputs.send(input).await;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Asks for a command and waits for its reply.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.command(command, reply).await;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl std::ops::Drop for LinkEntry {
    fn drop(&mut self) {
        let input = Input::LinkDown {
            name: self.name.clone(),
            incarnation: self.incarnation,
        };
        let inputs = self.inputs.clone();
        // The queue may be full for a moment; without a runtime there is no router either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { inputs.send(input).await });
        }
    }
}

/// One link, at the router.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) incarnation: u64,
    /// `None` while it is lost.
    pub(super) events: Option<mpsc::Sender<Event>>,
    pub(super) lost_since: Option<Instant>,
    wants_traces: bool,
    /// What it could not take yet.
    pub(super) backlog: VecDeque<Event>,
}

impl Link {
    pub(super) fn new(
        incarnation: u64,
        events: mpsc::Sender<Event>,
        wants_traces: bool,
        backlog: VecDeque<Event>,
    ) -> Self {
        let mut link = Self {
            incarnation,
            events: Some(events),
            lost_since: None,
            wants_traces,
            backlog,
        };
        link.flush();
        link
    }

    /// Tells the link, at once or when it can take it.
    pub(super) fn push(&mut self, event: Event) {
        if matches!(event, Event::Trace { .. }) && !self.wants_traces {
            return;
        }
        if self.backlog.len() < BACKLOG_MAX || matches!(event, Event::Gone { .. }) {
            self.backlog.push_back(event);
        }
        self.flush();
    }

    /// Hands over what waits for the link.
    pub(super) fn flush(&mut self) {
        let Some(events) = &self.events else {
            return;
        };
        while let Some(event) = self.backlog.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) =
                events.try_send(event)
            {
                self.backlog.push_front(event);
                return;
            }
        }
    }
}

pub(super) fn refused(kind: CommandErrorKind, message: &str) -> CommandError {
    CommandError {
        kind,
        message: message.to_owned(),
    }
}

pub(super) fn gone() -> CommandError {
    refused(CommandErrorKind::Draining, "the gateway has stopped")
}
