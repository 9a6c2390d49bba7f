//! The `ng` protocol over UDP, as SIP servers speak it to a media proxy: each datagram is a cookie and a bencoded
//! dictionary. It is a thin front end; sessions know nothing of it.

use super::bencode::Value;
use super::links::{LinkEntry, Links};
use super::ng_message::{self, Answer, Offer, Request};
use super::router::NG_OFFERER;
use crate::params::OpenRequest;
use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Direction, Event, LegName, MediaSessionId, Reply,
};
use offhook_process::LogLimiter;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Longest request, in bytes: the most that UDP carries.
const REQUEST_LEN_MAX: usize = 65_535;
/// Responses kept for repeated requests: a client repeats within seconds.
const RESPONSES_MAX: usize = 1024;
/// Longest call id that is taken, in bytes.
const CALL_ID_LEN_MAX: usize = 256;
/// Events that wait for this front end; it only needs to hear which sessions have ended.
const EVENTS_MAX: usize = 1024;

/// Serves `socket` until the router is gone.
pub(crate) async fn serve(socket: UdpSocket, links: Links) {
    let (events_sender, mut events) = mpsc::channel(EVENTS_MAX);
    let Some(link) = links.enter("ng".to_owned(), events_sender, false).await else {
        return;
    };
    let mut server = Server {
        link,
        calls: HashMap::new(),
        responses: Responses::default(),
        log: LogLimiter::default(),
    };
    let mut buffer = vec![0; REQUEST_LEN_MAX];
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Gone { session, .. }) => server.calls.retain(|_, call| call.session != session),
                Some(_) => {}
                None => return,
            },
            received = socket.recv_from(&mut buffer) => {
                // An ICMP error about an earlier response is no reason to stop.
                let Ok((len, source)) = received else { continue };
                if let Some(response) = server.datagram(&buffer[..len], source).await {
                    // A response that does not fit the network is lost; the client will say so.
                    let _ = socket.send_to(&response, source).await;
                }
            }
        }
    }
}

struct Server {
    link: LinkEntry,
    calls: HashMap<String, Call>,
    responses: Responses,
    log: LogLimiter,
}

struct Call {
    session: MediaSessionId,
    /// Tag of the side that offered first.
    from_tag: String,
    /// The leg whose answer is awaited.
    answerer: LegName,
    /// The first offer, as long as nobody has answered it.
    unanswered: Option<Offer>,
    /// Our answer to the latest offer, for each answer of the other side (a 200 after a 183, another branch's).
    prepared: Option<String>,
}

/// Responses by cookie, the latest ones.
#[derive(Default)]
struct Responses {
    by_cookie: HashMap<Vec<u8>, Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Server {
    async fn datagram(&mut self, datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
        let (cookie, message) = match ng_message::split(datagram) {
            Ok(parts) => parts,
            Err(error) => {
                // Without a cookie there is nothing to answer.
                self.refused(source, &error.to_string());
                return None;
            }
        };
        if let Some(response) = self.responses.by_cookie.get(cookie) {
            return Some(response.clone());
        }
        let fields = match ng_message::read(message) {
            Ok(request) => self.request(request).await,
            Err(error) => {
                self.refused(source, &error.to_string());
                ng_message::error(&error.to_string())
            }
        };
        let response = ng_message::respond(cookie, fields);
        self.responses.keep(cookie, &response);
        Some(response)
    }

    fn refused(&mut self, source: SocketAddr, error: &str) {
        if let Some(suppressed) = self.log.allow(std::time::Instant::now()) {
            tracing::warn!(%source, error, suppressed, "ng request refused");
        }
    }

    async fn request(&mut self, request: Request) -> Value {
        let result = match request {
            Request::Ping => return Value::dictionary([("result", Value::text("pong"))]),
            Request::Offer(offer) => self.offer(offer).await.map(Some),
            Request::Answer(answer) => self.answer(answer).await.map(Some),
            Request::Delete { call_id, fatal } => match self.delete(&call_id).await {
                // Each branch, and each repetition of a BYE, asks for it; one of them is the first.
                Err(error) if error.kind == CommandErrorKind::UnknownSession && !fatal => {
                    return ng_message::ok_but(&error.message);
                }
                deleted => deleted.map(|()| None),
            },
        };
        match result {
            Ok(sdp) => ng_message::ok(sdp),
            Err(error) => ng_message::error(&error.message),
        }
    }

    async fn offer(&mut self, offer: Offer) -> Result<String, CommandError> {
        if let Some(call) = self.calls.get(&offer.call_id) {
            let from = if call.from_tag == offer.from_tag {
                NG_OFFERER
            } else {
                other(NG_OFFERER)
            };
            match &call.unanswered {
                Some(first) if *first == offer => return self.offer_again(&offer.call_id).await,
                // It says something else: nobody has been told of the session's answer yet, so a fresh one will do.
                Some(_) if from == NG_OFFERER => self.delete(&offer.call_id).await?,
                _ => return self.reoffer(offer, from).await,
            }
        }
        if offer.call_id.len() > CALL_ID_LEN_MAX || offer.from_tag.len() > CALL_ID_LEN_MAX {
            return Err(bad("call-id or from-tag is longer than 256 bytes"));
        }
        self.first_offer(offer).await
    }

    async fn first_offer(&mut self, offer: Offer) -> Result<String, CommandError> {
        let client = ng_message::kind_of(&offer.sdp).map_err(|error| bad(&error.to_string()))?;
        let session = MediaSessionId(format!("ng-{}", uuid::Uuid::new_v4()));
        let request = OpenRequest {
            session: session.clone(),
            call_id: call_id_of(&offer.call_id),
            from: NG_OFFERER,
            codecs: ng_message::offered_codecs(&offer),
            early_answer: false,
            client,
            carrier: offer.transport.unwrap_or(client),
            // A media proxy adds nothing to what the sides send.
            comfort: false,
            sdp: Some(offer.sdp.clone()),
        };
        match self.link.open(request).await? {
            Reply::Opened { offer: sdp, .. } => {
                let call = Call {
                    session,
                    from_tag: offer.from_tag.clone(),
                    answerer: other(NG_OFFERER),
                    prepared: None,
                    unanswered: Some(offer.clone()),
                };
                self.calls.insert(offer.call_id, call);
                Ok(sdp)
            }
            reply => Err(unexpected(&reply)),
        }
    }

    /// The same offer for another branch, beside the first one or after that has failed: all are told the same ports, and
    /// whoever answers has them.
    async fn offer_again(&mut self, call_id: &str) -> Result<String, CommandError> {
        let call = self.calls.get(call_id).ok_or_else(unknown)?;
        let command = Command::MakeOffer {
            session: call.session.clone(),
            to: call.answerer,
            direction: Direction::SendRecv,
            renew: false,
        };
        offered(self.link.ask(command).await?)
    }

    /// A further offer: its answer is prepared, and the other side is offered what we have.
    async fn reoffer(&mut self, offer: Offer, from: LegName) -> Result<String, CommandError> {
        let call = self.calls.get_mut(&offer.call_id).ok_or_else(unknown)?;
        let command = Command::Reoffer {
            session: call.session.clone(),
            from,
            sdp: offer.sdp,
        };
        let direction = match self.link.ask(command).await? {
            Reply::Reoffered { answer, direction } => {
                call.prepared = Some(answer);
                call.answerer = other(from);
                direction
            }
            reply => return Err(unexpected(&reply)),
        };
        // Who holds or resumes says so to the other side. One that has not been offered yet, the branch before having sent
        // early media, knows nothing of that one's keys.
        let command = Command::MakeOffer {
            session: call.session.clone(),
            to: other(from),
            direction,
            renew: !offer.in_dialog,
        };
        offered(self.link.ask(command).await?)
    }

    async fn answer(&mut self, answer: Answer) -> Result<String, CommandError> {
        let call = self.calls.get_mut(&answer.call_id).ok_or_else(unknown)?;
        let command = Command::Answer {
            session: call.session.clone(),
            from: call.answerer,
            sdp: answer.sdp,
            is_final: true,
        };
        let ours = match self.link.ask(command).await? {
            Reply::Answered { answer } => answer,
            reply => return Err(unexpected(&reply)),
        };
        call.unanswered = None;
        call.prepared = ours.or(call.prepared.take());
        call.prepared
            .clone()
            .ok_or_else(|| bad("there is no offer that this could answer"))
    }

    async fn delete(&mut self, call_id: &str) -> Result<(), CommandError> {
        let call = self.calls.remove(call_id).ok_or_else(unknown)?;
        self.link
            .ask(Command::Close {
                session: call.session,
            })
            .await
            .map(drop)
    }
}

impl Responses {
    fn keep(&mut self, cookie: &[u8], response: &[u8]) {
        if self.order.len() >= RESPONSES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_cookie.remove(&oldest);
        }
        self.order.push_back(cookie.to_vec());
        self.by_cookie.insert(cookie.to_vec(), response.to_vec());
    }
}

fn other(leg: LegName) -> LegName {
    match leg {
        LegName::Client => LegName::Carrier,
        LegName::Carrier => LegName::Client,
    }
}

/// Call ids of SIP hold characters that ours do not.
fn call_id_of(text: &str) -> CallId {
    let safe: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '_'
            }
        })
        .take(CallId::LEN_MAX)
        .collect();
    CallId::new(&safe).unwrap_or_else(|_| CallId::new("ng").expect("two letters are a call id"))
}

fn bad(message: &str) -> CommandError {
    CommandError {
        kind: CommandErrorKind::BadSdp,
        message: message.to_owned(),
    }
}

fn unknown() -> CommandError {
    CommandError {
        kind: CommandErrorKind::UnknownSession,
        message: "Unknown call-id".to_owned(),
    }
}

fn offered(reply: Reply) -> Result<String, CommandError> {
    match reply {
        Reply::Offered { offer } => Ok(offer),
        reply => Err(unexpected(&reply)),
    }
}

fn unexpected(reply: &Reply) -> CommandError {
    CommandError {
        kind: CommandErrorKind::WrongState,
        message: format!("unexpected reply {reply:?}"),
    }
}
