//! The control link between processes: JSON-RPC 2.0 over a WebSocket. Signalling connects to
//! `ws://gateway/control?link=NAME` and pings every few seconds; NAME is what its sessions are found by when it returns.
//! A single VSP may leave the name out; several need one each, or the later takes over the earlier one's sessions.

use super::links::{LinkEntry, Links};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::stream::{FuturesUnordered, StreamExt};
use offhook_media_control::{CommandError, CommandErrorKind, Event, Frame, Reply, RequestId, SDP_LEN_MAX};
use offhook_process::Shutdown;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// Longest frame, in bytes: two SDPs with every character escaped stay below.
const FRAME_LEN_MAX: usize = 6 * SDP_LEN_MAX;
/// Longest name of a link.
const NAME_LEN_MAX: usize = 64;
/// A link that says nothing for so long is lost; signalling pings every two seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Commands of one link that wait for their reply; more are refused.
const REQUESTS_MAX: usize = 1024;
/// Events that wait for a slow link, beside those that the router keeps.
const EVENTS_MAX: usize = 256;
/// A frame that cannot be written within this time: the link is stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// WebSocket buffers: links are few, frames small.
const BUFFER_LEN: usize = 16 * 1024;

/// Serves the control link until the process stops.
pub(crate) async fn serve(listener: TcpListener, links: Links, mut shutdown: Shutdown) -> io::Result<()> {
    let app = axum::Router::new()
        .route("/control", any(upgrade))
        .with_state(links);
    tokio::select! {
        result = axum::serve(listener, app) => result,
        () = shutdown.stopped() => Ok(()),
    }
}

#[derive(Deserialize)]
struct LinkQuery {
    #[serde(default = "default_name")]
    link: String,
}

fn default_name() -> String {
    "vsp".to_owned()
}

async fn upgrade(
    State(links): State<Links>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    // Only browsers send Origin: a page that a user of this machine visits must not reach the control link.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "the control link is not for browsers").into_response();
    }
    let name = query.link;
    let named = (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if !named {
        return (
            StatusCode::BAD_REQUEST,
            "link is a name of 1 to 64 visible characters",
        )
            .into_response();
    }
    socket
        .read_buffer_size(BUFFER_LEN)
        .write_buffer_size(BUFFER_LEN)
        .max_write_buffer_size(4 * FRAME_LEN_MAX)
        .max_message_size(FRAME_LEN_MAX)
        .max_frame_size(FRAME_LEN_MAX)
        .on_upgrade(move |socket| link(socket, links, name))
}

async fn link(mut socket: WebSocket, links: Links, name: String) {
    let (events_sender, mut events) = mpsc::channel(EVENTS_MAX);
    let Some(entry) = links.enter(name.clone(), events_sender, true).await else {
        return;
    };
    let mut replies = FuturesUnordered::new();
    // Since then it is silent, whatever we have written meanwhile: a host that is gone takes nothing and refuses nothing.
    let mut heard = Instant::now();
    let reason = loop {
        let frame = tokio::select! {
            message = tokio::time::timeout_at(heard + SILENCE_MAX, socket.recv()) => match noted(message, &mut heard) {
                Err(_) => break "silence",
                Ok(None) => break "closed",
                Ok(Some(Err(_))) => break "connection error",
                Ok(Some(Ok(Message::Text(text)))) => match request(&entry, &text, replies.len()).await {
                    Request::Asked(id, answer) => {
                        replies.push(async move { (id, answer.await.unwrap_or_else(|_| Err(stopped()))) });
                        continue;
                    }
                    Request::Refused(frame) => frame,
                    Request::Unreadable => break "a frame that is no request",
                },
                Ok(Some(Ok(Message::Close(_)))) => break "closed",
                Ok(Some(Ok(_))) => continue,
            },
            Some((id, result)) = replies.next() => Frame::Response(id, result),
            event = events.recv() => match event {
                Some(event) => Frame::Notification(event),
                // Another connection has taken this link's name, or the gateway stops.
                None => break "replaced",
            },
        };
        if !write(&mut socket, &frame).await {
            break "cannot be written to";
        }
    };
    flush_events(&mut socket, &mut events).await;
    tracing::info!(link = %name, reason, "control connection ended");
    // The peer may be gone already.
    let _ = tokio::time::timeout(WRITE_TIMEOUT, socket.send(Message::Close(None))).await;
}

/// Notes when something came.
fn noted<T>(message: Result<T, Elapsed>, heard: &mut Instant) -> Result<T, Elapsed> {
    if message.is_ok() {
        *heard = Instant::now();
    }
    message
}

enum Request {
    Asked(RequestId, oneshot::Receiver<Result<Reply, CommandError>>),
    Refused(Frame),
    Unreadable,
}

async fn request(entry: &LinkEntry, text: &str, waiting: usize) -> Request {
    let (id, command) = match Frame::decode(text) {
        Ok(Frame::Request(id, command)) => (id, command),
        Ok(_) => return Request::Unreadable,
        Err(error) => {
            tracing::warn!(%error, "unreadable frame on the control link");
            return Request::Unreadable;
        }
    };
    if waiting >= REQUESTS_MAX {
        let error = CommandError {
            kind: CommandErrorKind::Busy,
            message: format!("{REQUESTS_MAX} commands of this link wait already"),
        };
        return Request::Refused(Frame::Response(id, Err(error)));
    }
    let (reply, answer) = oneshot::channel();
    entry.command(command, reply).await;
    Request::Asked(id, answer)
}

async fn write(socket: &mut WebSocket, frame: &Frame) -> bool {
    let send = socket.send(Message::Text(frame.encode().into()));
    matches!(tokio::time::timeout(WRITE_TIMEOUT, send).await, Ok(Ok(())))
}

/// Events that the router has handed over are written out if that is still possible.
async fn flush_events(socket: &mut WebSocket, events: &mut mpsc::Receiver<Event>) {
    while let Ok(event) = events.try_recv() {
        if !write(socket, &Frame::Notification(event)).await {
            return;
        }
    }
}

fn stopped() -> CommandError {
    CommandError {
        kind: CommandErrorKind::Draining,
        message: "the gateway has stopped".to_owned(),
    }
}
