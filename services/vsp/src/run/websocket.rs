//! One WebSocket: frames in, frames out. A client that does not read is dropped.

use super::Input;
use super::http::Place;
use crate::output::{CloseReason, ConnectionId, Departure, Peer};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Read and write buffer of a socket: idle ones cost little, and an invite fits into two.
pub(super) const BUFFER_LEN: usize = 2 * 1024;
/// Frames that wait for a socket to take them.
const QUEUE_LEN_MAX: usize = 128;
/// Bytes that wait for a socket to take them: answers of all calls of a session.
const QUEUE_BYTES_MAX: usize = 512 * 1024;
/// What the socket's own write buffer may grow to: the largest frame that can be queued, and the close frame.
pub(super) const WRITE_BUFFER_LEN_MAX: usize = QUEUE_BYTES_MAX + 4 * 1024;
/// How long a client may leave what we send unread once all buffers are full. Until then it is not read either.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// How long a client may take to close its end.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Close code: a frame that is too long, or breaks the protocol (RFC 6455 §7.4.1).
const FRAME_REFUSED: u16 = 1009;

/// Close code of browsers: the page was left or is loaded anew (RFC 6455 §7.4.1).
const PAGE_LEFT: u16 = 1001;

/// Sends to one socket.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<ToSend>,
    queued_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum ToSend {
    Text(String),
    Ping(u64),
    Close(CloseReason),
}

/// The client does not take what it is sent.
#[derive(Debug)]
pub(super) struct Slow;

impl Writer {
    fn new() -> (Self, mpsc::Receiver<ToSend>) {
        let (queue, to_send) = mpsc::channel(QUEUE_LEN_MAX);
        let queued_bytes = Arc::default();
        (Self { queue, queued_bytes }, to_send)
    }

    /// Queues a text frame.
    pub(super) fn send(&self, text: String) -> Result<(), Slow> {
        let len = text.len();
        if self.queued_bytes.fetch_add(len, Ordering::Relaxed) + len > QUEUE_BYTES_MAX {
            return Err(Slow);
        }
        self.queue(ToSend::Text(text))
    }

    /// Queues a Ping frame with this number.
    pub(super) fn ping(&self, number: u64) -> Result<(), Slow> {
        self.queue(ToSend::Ping(number))
    }

    fn queue(&self, what: ToSend) -> Result<(), Slow> {
        match self.queue.try_send(what) {
            // The socket is gone already, and says so itself.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Slow),
        }
    }

    /// Closes the socket after what is queued. A full queue closes it too, when the writer is dropped.
    pub(super) fn close(self, reason: CloseReason) {
        let _ = self.queue.try_send(ToSend::Close(reason));
    }
}

/// Serves a socket until it is closed. `_place` is its place among the connections.
pub(super) async fn serve(
    mut socket: WebSocket,
    id: ConnectionId,
    peer: Peer,
    inbox: mpsc::Sender<Input>,
    _place: Place,
) {
    let (writer, mut to_send) = Writer::new();
    let queued_bytes = writer.queued_bytes.clone();
    if inbox.send(Input::Opened(id, peer, writer)).await.is_err() {
        return;
    }
    let mut how = Departure::Lost;
    // The number in our last Ping frame, until its Pong: others, which nobody asked for, are no news for the core.
    let mut pinged = None;
    loop {
        let input = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => Input::Text(id, text.as_str().to_owned()),
                Some(Ok(Message::Binary(_))) => Input::Binary(id),
                Some(Ok(Message::Ping(_))) => continue,
                Some(Ok(Message::Pong(content))) => {
                    match pinged.take_if(|number: &mut u64| content[..] == number.to_be_bytes()) {
                        Some(number) => Input::Pong(id, number),
                        None => continue,
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    if frame.is_some_and(|frame| frame.code == PAGE_LEFT) {
                        how = Departure::PageLeft;
                    }
                    break;
                }
                None => break,
                Some(Err(error)) => {
                    close(&mut socket, FRAME_REFUSED, "frame too long or broken").await;
                    Input::Broken(id, error.to_string())
                }
            },
            queued = to_send.recv() => {
                let message = match queued {
                    Some(ToSend::Text(text)) => {
                        queued_bytes.fetch_sub(text.len(), Ordering::Relaxed);
                        Message::text(text)
                    }
                    Some(ToSend::Ping(number)) => {
                        Message::Ping(Bytes::copy_from_slice(&pinged.insert(number).to_be_bytes()))
                    }
                    Some(ToSend::Close(reason)) => {
                        close(&mut socket, reason.code(), reason.text()).await;
                        break;
                    }
                    // The core has dropped us.
                    None => break,
                };
                match timeout(WRITE_WAIT, socket.send(message)).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => break,
                    Err(_) => Input::Slow(id),
                }
            }
        };
        let ends = matches!(input, Input::Broken(..) | Input::Slow(_));
        if inbox.send(input).await.is_err() || ends {
            return;
        }
    }
    // The core may have ended before us.
    let _ = inbox.send(Input::Closed(id, how)).await;
}

/// Says goodbye and waits a moment for the client to do so too. Whether it hears it changes nothing.
async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let _ = timeout(CLOSE_WAIT, async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
    .await;
}
