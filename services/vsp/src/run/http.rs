//! The listener for clients: TLS, limits, and what each request is: WebSocket, report upload, page.

use super::notes::Notes;
use super::recordings::{self, Recordings};
use super::reports;
use super::{Error, Input, websocket};
use crate::config::Config;
use crate::limits::network;
use crate::output::{ConnectionId, Peer};
use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use hyper_util::rt::{TokioIo, TokioTimer};
use offhook_transport::tls;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long a TLS handshake, and the head of a request, may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// Buffer of an HTTP connection: the head of a request has to fit.
const HTTP_BUFFER_LEN: usize = 16 * 1024;
/// Wait before accepting goes on after the system refused (no file descriptor left).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The bound listener.
pub(super) struct Listener {
    listener: TcpListener,
    local_address: SocketAddr,
    tls: Option<TlsAcceptor>,
    door: Arc<Door>,
}

/// What all connections share.
struct Door {
    trusted_proxies: Vec<IpAddr>,
    allowed_origins: Vec<String>,
    pages: Router,
    recordings: Option<Recordings>,
    inbox: mpsc::Sender<Input>,
    notes: Notes,
    last_id: AtomicU64,
    places: Arc<Places>,
}

/// Who is connected, to limit how many are.
struct Places {
    max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the connections; dropping it frees it.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Listener {
    /// Binds the address of `config`.
    pub(super) async fn bind(
        config: &Config,
        pages: Router,
        inbox: mpsc::Sender<Input>,
        notes: &Notes,
    ) -> Result<Self, Error> {
        if config.tls.is_none() && !config.listen.ip().is_loopback() && config.trusted_proxies.is_empty() {
            return Err(Error::Plain(config.listen));
        }
        let tls = match &config.tls {
            Some(files) => Some(tls::server_config(&files.cert, &files.key, &[b"http/1.1"])?.into()),
            None => None,
        };
        let listener = offhook_transport::listen_tcp(config.listen).await?;
        let local_address = listener
            .local_addr()
            .map_err(|source| offhook_transport::BindError {
                transport: "tcp",
                address: config.listen,
                source,
            })?;
        let recordings = match &config.recordings_dir {
            Some(directory) => {
                let bytes_max = u64::from(config.recordings_max_mib) * 1024 * 1024;
                let opened = Recordings::open(directory, bytes_max);
                Some(opened.map_err(|source| Error::Recordings {
                    directory: directory.display().to_string(),
                    source,
                })?)
            }
            None => None,
        };
        let places = Places {
            max: config.limits.connections_max,
            per_address_max: config.limits.connections_per_address_max,
            taken: Mutex::default(),
        };
        let door = Door {
            trusted_proxies: config.trusted_proxies.clone(),
            allowed_origins: config.allowed_origins.clone(),
            pages,
            recordings,
            inbox,
            notes: notes.clone(),
            last_id: AtomicU64::new(0),
            places: Arc::new(places),
        };
        Ok(Self {
            listener,
            local_address,
            tls,
            door: Arc::new(door),
        })
    }

    /// Where it listens.
    pub(super) fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Accepts connections until dropped.
    pub(super) async fn serve(self) {
        loop {
            let (stream, remote) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let address = remote.ip().to_canonical();
            let trusted = self.door.trusted_proxies.contains(&address);
            if self.tls.is_none() && !trusted && !address.is_loopback() {
                self.door
                    .notes
                    .refused_connection(address, "without TLS only loopback and trusted_proxies may come");
                continue;
            }
            let Some(place) = Places::take(&self.door.places, address, trusted) else {
                self.door
                    .notes
                    .refused_connection(address, "too many connections");
                continue;
            };
            tokio::spawn(connection(
                stream,
                remote,
                self.tls.clone(),
                self.door.clone(),
                place,
            ));
        }
    }
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsAcceptor>,
    door: Arc<Door>,
    place: Place,
) {
    // Small frames must not wait for each other; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, remote, door, place).await,
        Some(acceptor) => match timeout(HANDSHAKE_WAIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, remote, door, place).await,
            Ok(Err(error)) => tracing::debug!(%remote, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%remote, "TLS handshake takes too long"),
        },
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    door: Arc<Door>,
    place: Place,
) {
    // The place goes to the WebSocket if there is one, which outlives the HTTP connection.
    let place = Arc::new(Mutex::new(Some(place)));
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (door, place) = (door.clone(), place.clone());
        async move { Ok::<_, Infallible>(door.answer(request.map(Body::new), remote, &place).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_WAIT)
        .max_buf_size(HTTP_BUFFER_LEN)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%remote, %error, "HTTP connection broke");
    }
}

impl Door {
    async fn answer(&self, request: Request, remote: SocketAddr, place: &Mutex<Option<Place>>) -> Response {
        let is_upgrade = request
            .headers()
            .get(header::UPGRADE)
            .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"));
        if is_upgrade {
            return self.upgrade(request, remote, place).await;
        }
        if request.uri().path() == reports::PATH {
            return reports::answer(request, &self.notes).await;
        }
        if request.uri().path() == recordings::PATH {
            return match &self.recordings {
                Some(recordings) => recordings.answer(request, &self.notes).await,
                None => reports::to_any_origin(StatusCode::NOT_FOUND),
            };
        }
        match self.pages.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// A WebSocket on any path, with any query, without sub-protocol.
    async fn upgrade(&self, request: Request, remote: SocketAddr, place: &Mutex<Option<Place>>) -> Response {
        if !self.origin_is_allowed(request.headers()) {
            self.notes
                .refused_connection(remote.ip(), "Origin not in allowed_origins");
            return StatusCode::FORBIDDEN.into_response();
        }
        let peer = Peer {
            address: self.client_address(request.headers(), remote.ip().to_canonical()),
            voice_sdk_id: request.uri().query().and_then(voice_sdk_id),
        };
        if !has_websocket_key(request.headers()) {
            return (
                StatusCode::BAD_REQUEST,
                "Sec-WebSocket-Key is no key of 16 bytes in base64",
            )
                .into_response();
        }
        let (mut parts, _body) = request.into_parts();
        let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => upgrade,
            Err(refused) => return refused.into_response(),
        };
        // A balancer finds another node by this status; a close frame would come too late for that.
        if !self.may_enter(&peer).await {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        // Who is refused keeps its place with its connection.
        let place = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(place) = place else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let id = ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let inbox = self.inbox.clone();
        upgrade
            .read_buffer_size(websocket::BUFFER_LEN)
            .write_buffer_size(websocket::BUFFER_LEN)
            .max_write_buffer_size(websocket::WRITE_BUFFER_LEN_MAX)
            .max_message_size(offhook_rpc_message::FRAME_LEN_MAX)
            .max_frame_size(offhook_rpc_message::FRAME_LEN_MAX)
            .on_upgrade(move |socket| websocket::serve(socket, id, peer, inbox, place))
    }

    async fn may_enter(&self, peer: &Peer) -> bool {
        let (sender, answer) = oneshot::channel();
        let asked = self
            .inbox
            .send(Input::Knocked(peer.voice_sdk_id.clone(), sender))
            .await;
        // Where nobody answers, the core has ended.
        asked.is_ok() && answer.await.unwrap_or(false)
    }

    fn origin_is_allowed(&self, headers: &HeaderMap) -> bool {
        if self.allowed_origins.is_empty() {
            return true;
        }
        let origin = headers
            .get(header::ORIGIN)
            .and_then(|origin| origin.to_str().ok());
        origin.is_some_and(|origin| self.allowed_origins.iter().any(|allowed| allowed == origin))
    }

    /// The address that our own proxy saw: the last one in its header; those before it anybody may have written.
    fn client_address(&self, headers: &HeaderMap, remote: IpAddr) -> IpAddr {
        if !self.trusted_proxies.contains(&remote) {
            return remote;
        }
        let forwarded = headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok());
        let last = forwarded
            .and_then(|list| list.rsplit(',').next())
            .and_then(|last| last.trim().parse().ok());
        last.unwrap_or(remote)
    }
}

impl Places {
    /// A place for one more connection, if there is one. A trusted proxy speaks for many addresses.
    fn take(places: &Arc<Self>, address: IpAddr, trusted: bool) -> Option<Place> {
        let address = network(address);
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= places.max || (of_address >= places.per_address_max && !trusted) {
            return None;
        }
        taken.all += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Some(Place {
            places: places.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// RFC 6455 §4.2.1: a key of 16 bytes. Bits behind the last byte are nobody's business.
fn has_websocket_key(headers: &HeaderMap) -> bool {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    key.is_some_and(|key| BASE64.decode(key).is_ok_and(|key| key.len() == 16))
}

/// `voice_sdk_id` of a query; all other parameters are ignored. Ours need no escapes: what has some is not ours.
fn voice_sdk_id(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("voice_sdk_id="))?;
    (!value.is_empty() && value.len() <= 128).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let places = Arc::new(Places {
            max: 3,
            per_address_max: 2,
            taken: Mutex::default(),
        });
        let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = Places::take(&places, a, false).unwrap();
        let _second = Places::take(&places, a, false).unwrap();
        assert!(Places::take(&places, a, false).is_none());
        let _third = Places::take(&places, b, false).unwrap();
        assert!(Places::take(&places, b, true).is_none());
        drop(first);
        assert!(Places::take(&places, b, true).is_some());
        assert_eq!(places.taken.lock().unwrap().by_address.len(), 2);
    }

    #[test]
    fn all_addresses_of_an_ipv6_customer_are_one() {
        let places = Arc::new(Places {
            max: 3,
            per_address_max: 1,
            taken: Mutex::default(),
        });
        let [one, neighbour, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:1::1"].map(|text| text.parse().unwrap());
        let _first = Places::take(&places, one, false).unwrap();
        assert!(Places::take(&places, neighbour, false).is_none());
        assert!(Places::take(&places, other, false).is_some());
    }

    #[test]
    fn the_sticky_id_is_found_among_other_parameters() {
        assert_eq!(
            voice_sdk_id("x=1&voice_sdk_id=vsdk-1&canary=true"),
            Some("vsdk-1".to_owned())
        );
        assert_eq!(voice_sdk_id("my_voice_sdk_id=1"), None);
        assert_eq!(voice_sdk_id("voice_sdk_id="), None);
    }
}
