//! The media gateway, in this process or behind the control link.

use super::control_link;
use offhook_media_control::{Command, CommandError, CommandErrorKind, Event, Reply};
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A command with the way back for its reply.
pub type CommandRequest = (Command, oneshot::Sender<Result<Reply, CommandError>>);

/// Commands that wait for the gateway: those of a few hundred calls being set up at once.
pub const COMMANDS_MAX: usize = 1024;
/// Events that wait for the VSP.
pub const EVENTS_MAX: usize = 4096;
/// How long the gateway may take for a reply. The SDK waits 10 s for some of its requests.
const REPLY_WAIT: Duration = Duration::from_secs(5);

/// The gateway of this process.
#[derive(Debug)]
pub struct GatewayLink {
    /// Commands to it; room for [`COMMANDS_MAX`] suits.
    pub commands: mpsc::Sender<CommandRequest>,
    /// Events from it; room for [`EVENTS_MAX`] suits.
    pub events: mpsc::Receiver<Event>,
}

/// What comes from the gateway on its own.
#[derive(Debug)]
pub(super) enum FromGateway {
    Event(Event),
    /// It can be reached.
    Up,
    /// It cannot be reached any more, for this reason.
    Down(String),
}

/// Our end of the link, of either kind.
#[derive(Debug)]
pub(super) struct Gateway {
    commands: mpsc::Sender<CommandRequest>,
    events: Events,
    up: bool,
}

#[derive(Debug)]
enum Events {
    Local(mpsc::Receiver<Event>),
    Remote(mpsc::Receiver<FromGateway>),
    Gone,
}

impl Gateway {
    /// The gateway of this process.
    pub(super) fn local(link: GatewayLink) -> Self {
        Self {
            commands: link.commands,
            events: Events::Local(link.events),
            up: true,
        }
    }

    /// The gateway behind `url`; connects, and connects again, until this is dropped. It knows our sessions by `node`.
    pub(super) fn remote(url: &str, node: &str) -> Self {
        let url = control_link::address(url, node);
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(control_link::run(url, command_receiver, event_sender));
        Self {
            commands,
            events: Events::Remote(events),
            up: false,
        }
    }

    /// Whether commands have a chance now.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Gives a command to the gateway; the future is its reply, or says why there is none.
    pub(super) fn command(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Reply, CommandError>> + Send + 'static {
        let (sender, receiver) = oneshot::channel();
        let refused = match self.up.then(|| self.commands.try_send((command, sender))) {
            None => Some(link_down("the control link is down")),
            Some(Ok(())) => None,
            Some(Err(mpsc::error::TrySendError::Full(_))) => Some(CommandError {
                kind: CommandErrorKind::Busy,
                message: format!("{COMMANDS_MAX} commands wait for the gateway"),
            }),
            Some(Err(mpsc::error::TrySendError::Closed(_))) => Some(link_down("the gateway has ended")),
        };
        async move {
            if let Some(error) = refused {
                return Err(error);
            }
            match tokio::time::timeout(REPLY_WAIT, receiver).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) => Err(link_down("the gateway was lost before it replied")),
                Err(_) => Err(link_down("the gateway does not reply")),
            }
        }
    }

    /// Waits for what comes next. Safe to drop half way (in `select!`).
    pub(super) async fn next(&mut self) -> FromGateway {
        let next = match &mut self.events {
            Events::Local(events) => events.recv().await.map(FromGateway::Event),
            Events::Remote(events) => events.recv().await,
            Events::Gone => std::future::pending().await,
        };
        match &next {
            Some(FromGateway::Up) => self.up = true,
            Some(FromGateway::Down(_)) => self.up = false,
            Some(FromGateway::Event(_)) => {}
            None => {
                self.events = Events::Gone;
                self.up = false;
            }
        }
        next.unwrap_or_else(|| FromGateway::Down("the gateway of this process has ended".to_owned()))
    }
}

fn link_down(message: &str) -> CommandError {
    CommandError {
        kind: CommandErrorKind::LinkDown,
        message: message.to_owned(),
    }
}
