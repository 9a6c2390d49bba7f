//! The control link within one process: two bounded channels.

use super::router::Links;
use offhook_media_control::{Command, CommandError, Event, Reply};
use tokio::sync::{mpsc, oneshot};

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

/// Carries commands to the router until signalling hangs up.
pub(crate) async fn serve(mut link: LocalLink, links: Links) {
    // Signalling in this process records into the same trace store as we do: it needs no trace events.
    let Some(entry) = links.enter(link.name.clone(), link.events, false).await else {
        return;
    };
    while let Some((command, reply)) = link.commands.recv().await {
        entry.command(command, reply).await;
    }
}
