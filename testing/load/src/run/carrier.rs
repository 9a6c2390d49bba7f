//! A carrier: answers every call after a while, calls our numbers, and carries audio both ways.

use super::LoadError;
use super::leg::{tone, value};
use bytes::Bytes;
use offhook_audio::AudioCodec;
use offhook_rtp::{RtpFields, Ssrc};
use offhook_sip::user_agent::{
    Body, Config, Event, IncomingId, LegId, NameAddr, OutgoingInvite, Output, Reply, UserAgent,
};
use offhook_sip::{Flow, Timing};
use offhook_sip_message::{Message, Method, StatusCode, UriBuf};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Orders that the carrier may be behind.
const ORDERS_MAX: usize = 1_024;
/// Looks for what is due at least so often.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// Length of a packet of audio.
const PACKET: Duration = Duration::from_millis(20);
/// Payload type of telephone-event in our SDP.
const EVENT: u8 = 101;

/// What the carrier knows of a call.
#[derive(Debug, Default, Clone)]
pub(crate) struct Facts {
    /// The INVITE came.
    pub(crate) invited: Option<Instant>,
    /// Its 200 was sent; for calls of the carrier's: came.
    pub(crate) answered: Option<Instant>,
    /// It is over.
    pub(crate) over: bool,
    /// Audio packets that came.
    pub(crate) packets: u64,
    /// Packets of telephone-event that came.
    pub(crate) events: u64,
    /// Offers within the call.
    pub(crate) offers: u64,
}

/// Calls by the number that is called, or calls.
type Book = Arc<Mutex<HashMap<String, Facts>>>;

/// The carrier.
pub(crate) struct Carrier {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    orders: mpsc::Sender<Order>,
    book: Book,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Call {
        from: String,
        to: String,
        proxy: SocketAddr,
    },
    HangUp(String),
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Carrier {
    /// A carrier that lets calls ring for so long.
    pub(crate) async fn start(ring: Duration) -> Result<Self, LoadError> {
        let socket = UdpSocket::bind("127.0.0.1:0")
            .await
            .map_err(LoadError::io("the carrier's socket"))?;
        let address = socket
            .local_addr()
            .map_err(LoadError::io("the carrier's socket"))?;
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let book = Book::default();
        let exchange = Exchange::new(address, ring, book.clone())?;
        let task = tokio::spawn(exchange.serve(socket, receiver));
        Ok(Self {
            address,
            orders,
            book,
            task,
        })
    }

    /// What is known of a call.
    pub(crate) fn facts(&self, number: &str) -> Facts {
        lock(&self.book).get(number).cloned().unwrap_or_default()
    }

    /// Forgets a call.
    pub(crate) fn forget(&self, number: &str) {
        lock(&self.book).remove(number);
    }

    /// Calls one of our numbers.
    pub(crate) async fn call(&self, from: &str, to: &str, proxy: SocketAddr) -> Result<(), LoadError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.order(Order::Call { from, to, proxy }).await
    }

    /// Hangs up.
    pub(crate) async fn hang_up(&self, number: &str) -> Result<(), LoadError> {
        self.order(Order::HangUp(number.to_owned())).await
    }

    async fn order(&self, order: Order) -> Result<(), LoadError> {
        let gone = |_| LoadError::Unexpected("the carrier has ended".to_owned());
        self.orders.send(order).await.map_err(gone)
    }
}

fn lock(book: &Book) -> MutexGuard<'_, HashMap<String, Facts>> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Exchange {
    agent: UserAgent,
    address: SocketAddr,
    ring: Duration,
    book: Book,
    calls: HashMap<LegId, Line>,
    /// Calls that are to be answered.
    due: BTreeMap<(Instant, LegId), IncomingId>,
    payloads: Arc<Vec<Vec<u8>>>,
}

struct Line {
    number: String,
    socket: Option<UdpSocket>,
    port: SocketAddr,
    remote: Option<SocketAddr>,
    audio: Option<JoinHandle<()>>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(audio) = &self.audio {
            audio.abort();
        }
    }
}

impl Exchange {
    fn new(address: SocketAddr, ring: Duration, book: Book) -> Result<Self, LoadError> {
        let config = Config {
            timing: Timing::default(),
            sent_by: address.to_string(),
            contact: uri(&format!("sip:carrier@{address}"))?,
            product: "load test".to_owned(),
            allow: vec![Method::Info],
            accept: vec!["application/sdp".to_owned(), "application/dtmf-relay".to_owned()],
            legs_max: 20_000,
        };
        let agent = UserAgent::new(config, StdRng::from_rng(&mut rand::rng()))
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        Ok(Self {
            agent,
            address,
            ring,
            book,
            calls: HashMap::new(),
            due: BTreeMap::new(),
            payloads: Arc::new(tone(AudioCodec::Pcmu)?),
        })
    }

    async fn serve(mut self, socket: UdpSocket, mut orders: mpsc::Receiver<Order>) {
        let mut buffer = vec![0; 65_536];
        loop {
            let now = Instant::now();
            let due = self.due.first_key_value().map(|((at, _), _)| *at);
            let next = [due, self.agent.poll_timeout(), Some(now + WAIT_MAX)]
                .into_iter()
                .flatten()
                .min();
            let wait = tokio::time::sleep_until(next.unwrap_or(now).into());
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    if let Ok((len, from)) = received {
                        let datagram = Bytes::copy_from_slice(&buffer[..len]);
                        self.agent.handle_datagram(Instant::now(), Flow::udp(from), datagram);
                    }
                }
                order = orders.recv() => match order {
                    Some(order) => self.take_order(order),
                    None => return,
                },
                () = wait => {}
            }
            let now = Instant::now();
            self.answer_due(now);
            self.agent.handle_timeout(now);
            while let Some(output) = self.agent.poll_output() {
                match output {
                    Output::Transmit(out) => {
                        // Lost as on any network; SIP sends it again.
                        let _ = socket.try_send_to(&out.bytes, out.flow.remote);
                    }
                    Output::Event(event) => self.on_event(Instant::now(), event),
                    Output::Observed(_) => {}
                }
            }
        }
    }

    fn take_order(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            // What cannot be called or hung up shows in what the caller waits for.
            Order::Call { from, to, proxy } => drop(self.call(now, from, &to, proxy)),
            Order::HangUp(number) => {
                let leg = self.calls.iter().find(|(_, line)| line.number == number);
                if let Some(leg) = leg.map(|(leg, _)| *leg) {
                    let _ = self.agent.bye(now, leg, Vec::new());
                    self.over(leg);
                }
            }
        }
    }

    fn call(&mut self, now: Instant, from: String, to: &str, proxy: SocketAddr) -> Result<(), LoadError> {
        let (socket, port) = audio_socket()?;
        let invite = OutgoingInvite {
            request_uri: uri(&format!("sip:{to}@{proxy}"))?,
            destination: Flow::udp(proxy),
            from: NameAddr {
                display_name: String::new(),
                uri: uri(&format!("sip:{from}@{}", self.address))?,
            },
            to: NameAddr {
                display_name: String::new(),
                uri: uri(&format!("sip:{to}@{proxy}"))?,
            },
            headers: Vec::new(),
            sticky_headers: Vec::new(),
            body: Some(Body::sdp(description(port, "sendrecv"))),
            credentials: None,
            give_up_after: None,
        };
        let leg = self
            .agent
            .invite(now, invite)
            .map_err(|error| LoadError::Unexpected(error.to_string()))?;
        let line = Line {
            number: from,
            socket: Some(socket),
            port,
            remote: None,
            audio: None,
        };
        self.calls.insert(leg, line);
        Ok(())
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::IncomingInvite {
                leg,
                incoming,
                request,
                ..
            } => self.on_invite(now, leg, incoming, &request),
            Event::IncomingRequest {
                leg,
                incoming,
                request,
                ..
            } => self.on_request(now, leg, incoming, &request),
            Event::Answered { leg, response } => {
                if let Some(line) = self.calls.get_mut(&leg) {
                    line.remote = media_of(&response);
                    note(&self.book, &line.number, |facts| facts.answered = Some(now));
                }
                self.start_audio(leg);
            }
            Event::Failed { leg, .. } | Event::Cancelled { leg, .. } | Event::Terminated { leg, .. } => {
                self.over(leg);
            }
            _ => {}
        }
    }

    fn on_invite(&mut self, now: Instant, leg: LegId, incoming: IncomingId, request: &Message) {
        let user = request
            .request_uri()
            .and_then(Result::ok)
            .and_then(|uri| uri.user());
        let number = String::from_utf8_lossy(user.unwrap_or_default()).into_owned();
        note(&self.book, &number, |facts| facts.invited = Some(now));
        let Ok((socket, port)) = audio_socket() else {
            return;
        };
        let line = Line {
            number,
            socket: Some(socket),
            port,
            remote: media_of(request),
            audio: None,
        };
        self.calls.insert(leg, line);
        let _ = self.agent.respond(now, incoming, Reply::new(StatusCode::RINGING));
        self.due.insert((now + self.ring, leg), incoming);
    }

    fn answer_due(&mut self, now: Instant) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let leg = entry.key().1;
            let incoming = entry.remove();
            let Some(line) = self.calls.get(&leg) else {
                continue;
            };
            let reply = Reply::new(StatusCode::OK).with_body(Body::sdp(description(line.port, "sendrecv")));
            note(&self.book, &line.number, |facts| {
                facts.answered = Some(Instant::now())
            });
            if self.agent.respond(now, incoming, reply).is_ok() {
                self.start_audio(leg);
            }
        }
    }

    fn on_request(&mut self, now: Instant, leg: Option<LegId>, incoming: IncomingId, request: &Message) {
        let mut reply = Reply::new(StatusCode::OK);
        let line = leg.and_then(|leg| self.calls.get(&leg));
        if let Some(line) = line.filter(|_| request.method() == Some(&Method::Invite)) {
            let offer = String::from_utf8_lossy(request.body()).into_owned();
            let direction = match offer.contains("a=sendonly") {
                true => "recvonly",
                false => "sendrecv",
            };
            note(&self.book, &line.number, |facts| facts.offers += 1);
            reply = reply.with_body(Body::sdp(description(line.port, direction)));
        }
        let _ = self.agent.respond(now, incoming, reply);
    }

    fn over(&mut self, leg: LegId) {
        if let Some(line) = self.calls.remove(&leg) {
            note(&self.book, &line.number, |facts| facts.over = true);
        }
    }

    fn start_audio(&mut self, leg: LegId) {
        let Some(line) = self.calls.get_mut(&leg) else {
            return;
        };
        if let (Some(socket), Some(remote)) = (line.socket.take(), line.remote) {
            let audio = audio(
                socket,
                remote,
                self.payloads.clone(),
                self.book.clone(),
                line.number.clone(),
            );
            line.audio = Some(tokio::spawn(audio));
        }
    }
}

async fn audio(
    socket: UdpSocket,
    remote: SocketAddr,
    payloads: Arc<Vec<Vec<u8>>>,
    book: Book,
    number: String,
) {
    let mut buffer = [0; 2_048];
    let mut ticks = tokio::time::interval(PACKET);
    let mut sequence = 0_u16;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                if let Ok((len, _)) = received && len > 12 {
                    let is_event = buffer[1] & 0x7f == EVENT;
                    note(&book, &number, |facts| match is_event {
                        true => facts.events += 1,
                        false => facts.packets += 1,
                    });
                }
            }
            _ = ticks.tick() => {
                sequence = sequence.wrapping_add(1);
                let fields = RtpFields {
                    marker: sequence == 1,
                    payload_type: 0,
                    sequence,
                    timestamp: u32::from(sequence) * 160,
                    ssrc: Ssrc(u32::from(remote.port())),
                };
                let payload = &payloads[usize::from(sequence) % payloads.len()];
                let _ = socket.try_send_to(&[&fields.to_header()[..], payload].concat(), remote);
            }
        }
    }
}

fn note(book: &Book, number: &str, change: impl FnOnce(&mut Facts)) {
    change(lock(book).entry(number.to_owned()).or_default());
}

fn description(address: SocketAddr, direction: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 {EVENT}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:{EVENT} telephone-event/8000\r\na={direction}\r\n"
    )
}

/// Where the other side wants its audio.
fn media_of(message: &Message) -> Option<SocketAddr> {
    let sdp = String::from_utf8_lossy(message.body());
    let ip = value(&sdp, "c=IN IP4 ").ok()?.trim();
    let port = value(&sdp, "m=audio ").ok()?.split(' ').next()?;
    format!("{ip}:{port}").parse().ok()
}

fn audio_socket() -> Result<(UdpSocket, SocketAddr), LoadError> {
    let what = "a socket for audio";
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").map_err(LoadError::io(what))?;
    socket.set_nonblocking(true).map_err(LoadError::io(what))?;
    let address = socket.local_addr().map_err(LoadError::io(what))?;
    let socket = UdpSocket::from_std(socket).map_err(LoadError::io(what))?;
    Ok((socket, address))
}

fn uri(text: &str) -> Result<UriBuf, LoadError> {
    UriBuf::new(text.to_owned()).map_err(|error| LoadError::Unexpected(format!("{text}: {error}")))
}
