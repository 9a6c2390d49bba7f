//! The control link to a gateway in another process: JSON-RPC 2.0 on a WebSocket that is kept up.
//!
//! A link that is lost takes the calls of this VSP with it (the gateway keeps their sessions for a while and then ends
//! them by itself); the next link starts empty.

use super::gateway::{CommandRequest, FromGateway};
use futures_util::{SinkExt, StreamExt};
use offhook_media_control::{Command, CommandError, CommandErrorKind, Frame, Reply, RequestId, SDP_LEN_MAX};
use std::collections::HashMap;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Message, protocol::WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const PING_INTERVAL: Duration = Duration::from_secs(2);
/// A link on which nothing has come for three pings is lost.
const SILENCE_MAX: Duration = Duration::from_secs(6);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// Longest frame: two SDPs, with room for their JSON.
const FRAME_LEN_MAX: usize = 4 * SDP_LEN_MAX;
/// Requests without reply; over it the gateway is as good as gone.
const PENDING_MAX: usize = 8192;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Pending = HashMap<RequestId, oneshot::Sender<Result<Reply, CommandError>>>;

/// `url` with the name of our link, under which the gateway keeps its sessions, unless it names one already.
pub(super) fn address(url: &str, node: &str) -> String {
    let named = |query: &str| query.split('&').any(|part| part.starts_with("link="));
    match url.split_once('?') {
        Some((_, query)) if named(query) => url.to_owned(),
        Some((_, "")) => format!("{url}link={node}"),
        Some(_) => format!("{url}&link={node}"),
        None => format!("{url}?link={node}"),
    }
}

/// Keeps a link to `url` until `commands` is closed or `events` is not read any more.
pub(super) async fn run(
    url: String,
    mut commands: mpsc::Receiver<CommandRequest>,
    events: mpsc::Sender<FromGateway>,
) {
    let mut back_off = BACK_OFF_MIN;
    loop {
        let why = match connect(&url).await {
            Ok(socket) => {
                back_off = BACK_OFF_MIN;
                if events.send(FromGateway::Up).await.is_err() {
                    return;
                }
                match serve(socket, &mut commands, &events).await {
                    Some(why) => why,
                    None => return,
                }
            }
            Err(why) => why,
        };
        tracing::debug!(url, why, "no control link");
        if events.send(FromGateway::Down(why)).await.is_err() {
            return;
        }
        refuse_for(back_off, &mut commands).await;
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

async fn connect(url: &str) -> Result<Socket, String> {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(FRAME_LEN_MAX))
        .max_frame_size(Some(FRAME_LEN_MAX));
    let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
    match timeout(CONNECT_WAIT, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(format!("{url}: {error}")),
        Err(_) => Err(format!("{url} does not answer")),
    }
}

/// Commands that come while there is no link are refused at once: their senders hang up.
async fn refuse_for(duration: Duration, commands: &mut mpsc::Receiver<CommandRequest>) {
    let refuse = async {
        while let Some((_, sender)) = commands.recv().await {
            let message = "the control link is down".to_owned();
            // Nobody waits for the reply any more: fine.
            let _ = sender.send(Err(CommandError {
                kind: CommandErrorKind::LinkDown,
                message,
            }));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = refuse => {}
        () = sleep(duration) => {}
    }
}

/// Serves one link. Says why it was lost; `None`: we leave.
async fn serve(
    mut socket: Socket,
    commands: &mut mpsc::Receiver<CommandRequest>,
    events: &mpsc::Sender<FromGateway>,
) -> Option<String> {
    let mut pending = Pending::new();
    let mut last_id = 0;
    let mut last_frame = Instant::now();
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            received = socket.next() => {
                last_frame = Instant::now();
                match received {
                    Some(Ok(Message::Text(text))) => take_frame(&text, &mut pending, events).await?,
                    Some(Ok(Message::Close(_))) | None => return Some("closed by the gateway".to_owned()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Some(error.to_string()),
                }
            }
            command = commands.recv() => {
                let (command, sender) = command?;
                last_id += 1;
                if pending.len() >= PENDING_MAX {
                    pending.retain(|_, sender| !sender.is_closed());
                }
                pending.insert(RequestId(last_id), sender);
                if let Err(error) = send(&mut socket, RequestId(last_id), command).await {
                    return Some(error.to_string());
                }
            }
            _ = pings.tick() => {
                if last_frame.elapsed() > SILENCE_MAX {
                    return Some("the gateway has been silent for 6 s".to_owned());
                }
                pending.retain(|_, sender| !sender.is_closed());
                last_id += 1;
                if let Err(error) = send(&mut socket, RequestId(last_id), Command::Ping {}).await {
                    return Some(error.to_string());
                }
            }
        }
    }
}

async fn send(socket: &mut Socket, id: RequestId, command: Command) -> Result<(), tungstenite::Error> {
    let sending = socket.send(Message::text(Frame::Request(id, command).encode()));
    match timeout(SILENCE_MAX, sending).await {
        Ok(result) => result,
        Err(_) => Err(tungstenite::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// `None`: nobody takes events any more.
async fn take_frame(text: &str, pending: &mut Pending, events: &mpsc::Sender<FromGateway>) -> Option<()> {
    match Frame::decode(text) {
        Ok(Frame::Response(id, result)) => {
            // Pings have no entry, and neither have requests that took too long.
            if let Some(sender) = pending.remove(&id) {
                let _ = sender.send(result);
            }
        }
        Ok(Frame::Notification(event)) => events.send(FromGateway::Event(event)).await.ok()?,
        Ok(Frame::Request(..)) => tracing::warn!("the gateway sent a request on the control link; ignored"),
        Err(error) => tracing::warn!(%error, "unreadable frame on the control link; ignored"),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_link_has_the_name_of_its_node() {
        for (url, named) in [
            ("ws://gw:8090/control", "ws://gw:8090/control?link=n1"),
            ("ws://gw:8090/control?", "ws://gw:8090/control?link=n1"),
            (
                "ws://gw:8090/control?zone=a",
                "ws://gw:8090/control?zone=a&link=n1",
            ),
            (
                "ws://gw:8090/control?link=other",
                "ws://gw:8090/control?link=other",
            ),
        ] {
            assert_eq!(super::address(url, "n1"), named);
        }
    }
}
