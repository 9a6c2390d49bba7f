//! A client as the SDK is one, without a page: a WebSocket that logs in, places and takes calls.

use super::LoadError;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Longer than any answer takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Buffers of a client's socket: there are ten thousand of them.
const BUFFER_LEN: usize = 1024;

/// TCP or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A WebSocket over either.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Where and how to connect.
#[derive(Clone)]
pub(crate) struct Door {
    /// Address.
    pub(crate) address: SocketAddr,
    /// Over TLS.
    pub(crate) tls: Option<TlsConnector>,
    /// Sub-protocol.
    pub(crate) protocol: Option<&'static str>,
}

impl Door {
    /// Opens a WebSocket.
    pub(crate) async fn open(&self, query: &str) -> Result<Socket, LoadError> {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(LoadError::io("connecting"))?;
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("a host name");
                let stream = tls.connect(name, stream).await;
                Box::new(stream.map_err(LoadError::io("TLS handshake"))?)
            }
        };
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let mut request = format!("{scheme}://localhost/{query}").into_client_request()?;
        if let Some(protocol) = self.protocol {
            let value = tokio_tungstenite::tungstenite::http::HeaderValue::from_static(protocol);
            request.headers_mut().insert("Sec-WebSocket-Protocol", value);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_LEN)
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(socket)
    }
}

/// A logged-in client.
pub(crate) struct Phone {
    door: Door,
    credentials: Value,
    early_answer: bool,
    socket: Socket,
    last_id: u64,
    session: Option<String>,
    voice_sdk_id: Option<String>,
    waiting: VecDeque<Value>,
}

impl Phone {
    /// Connects and logs in.
    pub(crate) async fn log_in(
        door: &Door,
        credentials: Value,
        early_answer: bool,
    ) -> Result<Self, LoadError> {
        let mut phone = Self {
            socket: door.open("").await?,
            door: door.clone(),
            credentials,
            early_answer,
            last_id: 0,
            session: None,
            voice_sdk_id: None,
            waiting: VecDeque::new(),
        };
        phone.start_session().await?;
        Ok(phone)
    }

    /// Drops the socket without a word and comes back over another one. Gives the calls that are still there.
    pub(crate) async fn reconnect(&mut self) -> Result<Vec<String>, LoadError> {
        let query = format!(
            "?voice_sdk_id={}",
            self.voice_sdk_id.as_deref().unwrap_or_default()
        );
        self.socket = self.door.open(&query).await?;
        self.start_session().await
    }

    async fn start_session(&mut self) -> Result<Vec<String>, LoadError> {
        let mut params = self.credentials.clone();
        params["loginParams"] = json!({"early_sdp_answer": self.early_answer});
        params["reconnection"] = self.session.is_some().into();
        if let Some(session) = &self.session {
            params["sessid"] = session.clone().into();
        }
        let result = self.ask("login", params).await?;
        self.session = result["sessid"].as_str().map(str::to_owned);
        let ready = self.expect("clientReady").await?;
        let kept = ready["reattached_sessions"].as_array().into_iter().flatten();
        Ok(kept.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Sends a request and gives its result.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Result<Value, LoadError> {
        let id = self.send(method, params).await?;
        loop {
            let frame = self.receive(method).await?;
            if frame["id"] == id && frame["method"].is_null() {
                return match frame["error"].is_object() {
                    false => Ok(frame["result"].clone()),
                    true => Err(LoadError::Unexpected(format!("{method}: {}", frame["error"]))),
                };
            }
            self.waiting.push_back(frame);
        }
    }

    /// Sends a request about a call.
    pub(crate) async fn ask_about(
        &mut self,
        call: &str,
        method: &str,
        mut params: Value,
    ) -> Result<Value, LoadError> {
        params["sessid"] = self.session.clone().into();
        params["dialogParams"] = json!({"callID": call});
        self.ask(&format!("telnyx_rtc.{method}"), params).await
    }

    /// Dials; the answer is awaited elsewhere.
    pub(crate) async fn dial(&mut self, call: &str, number: &str, sdp: &str) -> Result<u64, LoadError> {
        let dialog = json!({"callID": call, "destination_number": number, "caller_id_number": "", "caller_id_name": ""});
        let params = json!({"sessid": self.session, "sdp": sdp, "dialogParams": dialog});
        self.send("telnyx_rtc.invite", params).await
    }

    /// Waits for a message of the server, acknowledges it, and gives its parameters.
    pub(crate) async fn expect(&mut self, method: &str) -> Result<Value, LoadError> {
        let full = format!("telnyx_rtc.{method}");
        loop {
            let at = self.waiting.iter().position(|frame| frame["method"] == *full);
            if let Some(frame) = at.and_then(|at| self.waiting.remove(at)) {
                return Ok(frame["params"].clone());
            }
            let frame = self.receive(method).await?;
            let unwanted = frame["method"] == "telnyx_rtc.bye" && method != "bye";
            if unwanted {
                return Err(LoadError::Unexpected(format!(
                    "bye instead of {method}: {}",
                    frame["params"]
                )));
            }
            self.waiting.push_back(frame);
        }
    }

    /// Reads and forgets what has come, for a while.
    pub(crate) async fn idle(&mut self, time: Duration) -> Result<(), LoadError> {
        let end = tokio::time::Instant::now() + time;
        while let Ok(frame) = tokio::time::timeout_at(end, self.next_frame()).await {
            let frame = frame?;
            if frame["method"].is_string() && frame["method"] != "telnyx_rtc.event" {
                self.waiting.push_back(frame);
            }
        }
        Ok(())
    }

    /// Forgets what came of earlier calls.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }

    async fn send(&mut self, method: &str, params: Value) -> Result<u64, LoadError> {
        self.last_id += 1;
        let frame = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.socket.send(Message::text(frame.to_string())).await?;
        Ok(self.last_id)
    }

    async fn receive(&mut self, what: &str) -> Result<Value, LoadError> {
        let missing = |_| LoadError::Missing {
            what: what.to_owned(),
            wait: SOON,
        };
        timeout(SOON, self.next_frame()).await.map_err(missing)?
    }

    /// The next frame that is not about the socket itself; acknowledged where the SDK does so.
    async fn next_frame(&mut self) -> Result<Value, LoadError> {
        loop {
            let message = self.socket.next().await;
            let text = match message.transpose()? {
                Some(Message::Text(text)) => text,
                Some(Message::Close(frame)) => {
                    return Err(LoadError::Unexpected(format!(
                        "the server closed the socket: {frame:?}"
                    )));
                }
                Some(_) => continue,
                None => return Err(LoadError::Unexpected("the socket is gone".to_owned())),
            };
            let frame: Value =
                serde_json::from_str(&text).map_err(|error| LoadError::Unexpected(error.to_string()))?;
            if let Some(id) = frame["voice_sdk_id"].as_str() {
                self.voice_sdk_id = Some(id.to_owned());
            }
            match frame["method"].as_str() {
                Some("telnyx_rtc.ping") => {
                    self.send("telnyx_rtc.ping", json!({})).await?;
                }
                Some(method) => {
                    let ack = json!({"jsonrpc": "2.0", "id": frame["id"], "result": {"method": method}});
                    self.socket.send(Message::text(ack.to_string())).await?;
                    return Ok(frame);
                }
                None => return Ok(frame),
            }
        }
    }
}
