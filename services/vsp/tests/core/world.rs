//! A VSP core between a scripted browser, a scripted gateway and a SIP user agent as the far end, on a virtual clock.

use crate::gateway::Gateway;
pub(crate) use crate::gateway::{CARRIER_OFFER, CLIENT_ANSWER, tag};
use offhook_call_trace::{CallId, TraceEvent};
use offhook_media_control::{Command, MediaSessionId};
use offhook_sip::user_agent::{self, LegId, UserAgent};
use offhook_sip::{Flow, Timing};
use offhook_sip_message::{HeaderName, Message, Method, UriBuf};
use offhook_vsp::auth::{Question, Refusal, Verdict};
use offhook_vsp::{
    CallRecord, CloseReason, ConnectionId, Departure, Note, Output, Peer, Rejection, Server, Settings,
    SipSettings, TransferWay, User,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) const OFFER: &str = "v=0\r\no=browser offer\r\n";
pub(crate) const CARRIER_ANSWER: &str = "v=0\r\no=carrier answer\r\n";

pub(crate) const CARRIER_SIDE_OFFER: &str = "v=0\r\no=carrier offer\r\n";
pub(crate) const BROWSER_ANSWER: &str = "v=0\r\no=browser answer\r\n";

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) far_end: UserAgent,
    pub(crate) far_events: VecDeque<user_agent::Event>,
    /// Frames of the speed test.
    pub(crate) speed_test: Vec<String>,
    pub(crate) far_notices: Vec<user_agent::Notice>,
    pub(crate) gateway: Gateway,
    pub(crate) closed: HashMap<ConnectionId, CloseReason>,
    /// Ping frames of the WebSocket itself: to whom, and their numbers.
    pub(crate) pings: Vec<(ConnectionId, u64)>,
    pub(crate) traces: Vec<(CallId, TraceEvent)>,
    pub(crate) records: Vec<CallRecord>,
    /// Transfers that have ended: who made them, and with which status.
    pub(crate) transfers: Vec<(TransferWay, u16)>,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) logins: Vec<Result<String, Refusal>>,
    /// Every SIP message so far: whether it was the VSP's, and its text.
    pub(crate) wire: Vec<(bool, String)>,
    /// Whether datagrams of the VSP reach the far end.
    pub(crate) network_up: bool,
    /// Questions wait for a test's verdict when false.
    pub(crate) auto_verdict: bool,
    pub(crate) questions: Vec<(offhook_vsp::AskToken, Question)>,
    /// Domains that DNS is to be asked for.
    pub(crate) locations: Vec<String>,
    /// Where SIP messages went; all of them come to the far end.
    pub(crate) sent_to: Vec<SocketAddr>,
    frames: HashMap<ConnectionId, VecDeque<Value>>,
    last_connection: u64,
    last_frame: u64,
}

pub(crate) fn vsp_address() -> SocketAddr {
    "127.0.0.1:5070".parse().unwrap()
}

pub(crate) fn proxy_address() -> SocketAddr {
    "127.0.0.1:5060".parse().unwrap()
}

pub(crate) fn settings() -> Settings {
    let user = |numbers: &[&str], caller_id: Option<&str>| User {
        numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
        caller_id: caller_id.map(str::to_owned),
        ..User::default()
    };
    let sip = SipSettings {
        contact: vsp_address(),
        proxy: proxy_address(),
        peers: Vec::new(),
        domain: "voice.example.com".to_owned(),
        session_expires: None,
    };
    let users = HashMap::from([
        (
            "alice".to_owned(),
            user(&["+15550100", "+15550101"], Some("+15550101")),
        ),
        ("bob".to_owned(), user(&[], None)),
    ]);
    Settings {
        site: "NJ1".to_owned(),
        region: "north-america".to_owned(),
        ..Settings::new(sip, users)
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    /// A world whose far end knows no REFER, and says so.
    pub(crate) fn without_refer() -> Self {
        Self::with_far_end(settings(), user_agent::Extensions::default(), &[Method::Update])
    }

    /// A world whose far end knows neither REFER nor UPDATE, and says so.
    pub(crate) fn without_update() -> Self {
        Self::with_far_end(settings(), user_agent::Extensions::default(), &[])
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let extensions = user_agent::Extensions {
            transfers: true,
            replaces: true,
            ..Default::default()
        };
        Self::with_far_end(settings, extensions, &[Method::Update])
    }

    fn with_far_end(settings: Settings, extensions: user_agent::Extensions, more: &[Method]) -> Self {
        let allow = [Method::Info, Method::Message, Method::Register];
        let far_end = user_agent::Config {
            timing: Timing::default(),
            sent_by: proxy_address().to_string(),
            contact: UriBuf::new("sip:far@127.0.0.1:5060".to_owned()).unwrap(),
            product: String::new(),
            allow: allow.iter().chain(more).cloned().collect(),
            accept: ["application/sdp", "application/dtmf-relay", "text/plain"]
                .map(str::to_owned)
                .to_vec(),
            legs_max: 1000,
        };
        Self {
            now: Instant::now(),
            server: Server::new(settings, StdRng::seed_from_u64(7)),
            far_end: UserAgent::with_extensions(far_end, extensions, StdRng::seed_from_u64(8)).unwrap(),
            speed_test: Vec::new(),
            far_notices: Vec::new(),
            far_events: VecDeque::new(),
            gateway: Gateway {
                telephone_event: true,
                ..Gateway::default()
            },
            closed: HashMap::new(),
            pings: Vec::new(),
            traces: Vec::new(),
            records: Vec::new(),
            transfers: Vec::new(),
            rejections: Vec::new(),
            logins: Vec::new(),
            wire: Vec::new(),
            network_up: true,
            auto_verdict: true,
            questions: Vec::new(),
            locations: Vec::new(),
            sent_to: Vec::new(),
            frames: HashMap::new(),
            last_connection: 0,
            last_frame: 0,
        }
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_with(None)
    }

    pub(crate) fn open_with(&mut self, voice_sdk_id: Option<&str>) -> ConnectionId {
        self.open_from("192.0.2.1", voice_sdk_id)
    }

    pub(crate) fn open_from(&mut self, address: &str, voice_sdk_id: Option<&str>) -> ConnectionId {
        self.last_connection += 1;
        let id = ConnectionId(self.last_connection);
        let peer = Peer {
            address: address.parse().unwrap(),
            voice_sdk_id: voice_sdk_id.map(str::to_owned),
        };
        self.server.handle_opened(self.now, id, peer);
        self.settle();
        id
    }

    /// Sends text as it is.
    pub(crate) fn text(&mut self, to: ConnectionId, text: &str) {
        self.server.handle_text(self.now, to, text);
        self.settle();
    }

    /// Sends a request and gives its id.
    pub(crate) fn request(&mut self, to: ConnectionId, method: &str, params: Value) -> String {
        self.last_frame += 1;
        let id = format!("client-{}", self.last_frame);
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.text(to, &frame.to_string());
        id
    }

    /// Sends a request and gives its answer, which has to be the next frame.
    pub(crate) fn ask(&mut self, to: ConnectionId, method: &str, params: Value) -> Value {
        let id = self.request(to, method, params);
        let frame = self.frame(to);
        assert_eq!(frame["id"], json!(id), "{frame}");
        frame
    }

    /// The next frame to a client.
    pub(crate) fn frame(&mut self, to: ConnectionId) -> Value {
        self.frames
            .get_mut(&to)
            .and_then(VecDeque::pop_front)
            .expect("a frame for the client")
    }

    /// The next frame to a client, which has to be this method; acknowledged as the SDK does.
    pub(crate) fn expect(&mut self, from: ConnectionId, method: &str) -> Value {
        let frame = self.frame(from);
        assert_eq!(frame["method"], json!(format!("telnyx_rtc.{method}")), "{frame}");
        assert!(frame["id"].is_u64(), "{frame}");
        let ack = json!({"jsonrpc": "2.0", "id": frame["id"], "result": {"method": frame["method"]}});
        self.text(from, &ack.to_string());
        frame["params"].clone()
    }

    pub(crate) fn frames_left(&self, of: ConnectionId) -> usize {
        self.frames.get(&of).map_or(0, VecDeque::len)
    }

    pub(crate) fn take_frames(&mut self, of: ConnectionId) -> Vec<Value> {
        self.frames.remove(&of).unwrap_or_default().into()
    }

    /// The `bye` among the frames to a client, pings and all.
    pub(crate) fn find_bye(&mut self, client: ConnectionId) -> Value {
        let bye = |frame: Value| (frame["method"] == "telnyx_rtc.bye").then(|| frame["params"].clone());
        self.take_frames(client)
            .into_iter()
            .find_map(bye)
            .expect("a bye for the client")
    }

    /// The `voice_sdk_id` of a client.
    pub(crate) fn sticky_id(&mut self, client: ConnectionId) -> String {
        let pong = self.ask(client, "telnyx_rtc.ping", json!({}));
        pong["voice_sdk_id"].as_str().unwrap().to_owned()
    }

    /// Answers all Ping frames so far, as browsers do.
    pub(crate) fn pong(&mut self) {
        for (client, number) in std::mem::take(&mut self.pings) {
            self.server.handle_pong(self.now, client, number);
        }
        self.settle();
    }

    /// The socket breaks.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        self.server.handle_closed(self.now, connection, Departure::Lost);
        self.settle();
    }

    /// The page is left, or loaded anew.
    pub(crate) fn leave_page(&mut self, connection: ConnectionId) {
        self.server
            .handle_closed(self.now, connection, Departure::PageLeft);
        self.settle();
    }

    /// Opens a socket and logs in; gives the session id too.
    pub(crate) fn log_in(&mut self, user: &str) -> (ConnectionId, String) {
        self.log_in_with(user, json!({}))
    }

    pub(crate) fn log_in_with(&mut self, user: &str, login_params: Value) -> (ConnectionId, String) {
        let params = json!({"login": user, "passwd": format!("{user}-pw"), "reconnection": false,
            "loginParams": login_params, "User-Agent": {"sdkVersion": "2.27.10", "data": "test"}});
        self.log_in_by(params)
    }

    /// Logs in as the SDK's releases up to 2.9 do: without a word of which one it is.
    pub(crate) fn log_in_nameless(&mut self, user: &str) -> (ConnectionId, String) {
        self.log_in_by(json!({"login": user, "passwd": format!("{user}-pw"), "loginParams": {}}))
    }

    fn log_in_by(&mut self, params: Value) -> (ConnectionId, String) {
        let connection = self.open();
        let result = self.ask(connection, "login", params);
        assert_eq!(result["result"]["message"], "logged in", "{result}");
        let ready = self.expect(connection, "clientReady");
        assert_eq!(ready, json!({"reattached_sessions": []}));
        (
            connection,
            result["result"]["sessid"].as_str().unwrap().to_owned(),
        )
    }

    /// Sends an invite; the result has to be first.
    pub(crate) fn invite(&mut self, from: ConnectionId, call: &str, number: &str) {
        let result = self.ask(from, "telnyx_rtc.invite", invite_params(call, number));
        assert_eq!(result["result"]["message"], "CALL CREATED", "{result}");
        assert_eq!(result["result"]["callID"], call);
    }

    /// The client wants `call-1` changed.
    pub(crate) fn modify(&mut self, client: ConnectionId, mut params: Value) -> String {
        params["dialogParams"] = json!({"callID": "call-1"});
        self.request(client, "telnyx_rtc.modify", params)
    }

    /// The client answers the call that it was offered.
    pub(crate) fn answer(&mut self, client: ConnectionId, call: &Value) -> String {
        let params = json!({"sdp": BROWSER_ANSWER, "dialogParams": {"callID": call}});
        self.request(client, "telnyx_rtc.answer", params)
    }

    /// A call that is up: the far end's leg.
    pub(crate) fn call(&mut self, client: ConnectionId, call: &str, number: &str) -> LegId {
        self.invite(client, call, number);
        let (leg, incoming, _) = self.far_invite();
        self.far_respond(incoming, 180, None);
        self.expect(client, "ringing");
        self.far_respond(incoming, 200, Some(CARRIER_ANSWER));
        let answer = self.expect(client, "answer");
        assert_eq!(answer["sdp"], CLIENT_ANSWER);
        assert!(matches!(self.far_event(), user_agent::Event::AckReceived { .. }));
        leg
    }

    /// Alice in a call: her socket, her session, the far end's leg.
    pub(crate) fn talking(&mut self) -> (ConnectionId, String, LegId) {
        let (client, session) = self.log_in("alice");
        let leg = self.call(client, "call-1", "9196");
        (client, session, leg)
    }

    /// Alice comes back on a new socket and gets her session: the socket, and the calls that she is told of.
    pub(crate) fn come_back(&mut self, session: &str) -> (ConnectionId, Value) {
        let client = self.open();
        let calls = self.come_back_on(client, session);
        (client, calls)
    }

    /// The same on this socket.
    pub(crate) fn come_back_on(&mut self, client: ConnectionId, session: &str) -> Value {
        let answer = self.ask(client, "login", returning("alice", session));
        assert_eq!(answer["result"]["sessid"], session, "{answer}");
        self.expect(client, "clientReady")["reattached_sessions"].clone()
    }

    /// Drains; calls may go on for so long.
    pub(crate) fn drain(&mut self, duration: Duration) {
        self.server.handle_drain(self.now, self.now + duration);
        self.settle();
    }

    /// Lets time pass, running every timer at its time.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let next = [self.server.poll_timeout(), self.far_end.poll_timeout()]
                .into_iter()
                .flatten()
                .min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
            self.server.handle_timeout(self.now);
            self.far_end.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The same, while the client answers pings.
    pub(crate) fn advance_alive(&mut self, client: ConnectionId, duration: Duration) {
        for _ in 0..duration.as_secs() / 5 {
            self.advance(Duration::from_secs(5));
            self.text(
                client,
                r#"{"jsonrpc":"2.0","method":"ai_conversation","params":{}}"#,
            );
        }
    }

    /// What DNS says of a domain.
    pub(crate) fn located(&mut self, domain: &str, addresses: &[SocketAddr]) {
        self.server.handle_located(self.now, domain, addresses.to_vec());
        self.settle();
    }

    /// Lets the gateway reply to what it held back.
    pub(crate) fn release_replies(&mut self) {
        self.gateway.hold_replies = false;
        while let Some((token, command)) = self.gateway.held.pop_front() {
            let reply = self.gateway.reply(&command);
            self.server.handle_reply(self.now, token, reply);
        }
        self.settle();
    }

    pub(crate) fn event(&mut self, event: offhook_media_control::Event) {
        self.server.handle_event(self.now, event);
        self.settle();
    }

    /// The media session of the last call.
    pub(crate) fn media_session(&self) -> MediaSessionId {
        let open = |command: &Command| match command {
            Command::Open { session, .. } => Some(session.clone()),
            _ => None,
        };
        self.gateway
            .commands
            .iter()
            .rev()
            .find_map(open)
            .expect("an open session")
    }

    /// Tags of the commands so far.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.gateway.commands.iter().map(tag).collect()
    }

    /// Passes everything on until nothing moves.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.server.poll_output() {
                moved = true;
                self.take(output);
            }
            while let Some(output) = self.far_end.poll_output() {
                moved = true;
                match output {
                    user_agent::Output::Transmit(transmit) => {
                        self.note_wire(false, &transmit.bytes);
                        self.server
                            .handle_datagram(self.now, proxy_address(), transmit.bytes);
                    }
                    user_agent::Output::Event(event) => self.far_events.push_back(event),
                    user_agent::Output::Observed(_) => {}
                }
            }
            self.far_notices
                .extend(std::iter::from_fn(|| self.far_end.poll_notice()));
            if !moved {
                return;
            }
        }
    }

    fn note_wire(&mut self, of_vsp: bool, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.wire.push((of_vsp, text));
    }

    fn take(&mut self, output: Output) {
        if let Output::Datagram { bytes, .. } = &output {
            self.note_wire(true, bytes);
        }
        match output {
            Output::Text { to, text } => {
                if text.starts_with("#SP") {
                    return self.speed_test.push(text);
                }
                let frame: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(frame["jsonrpc"], "2.0");
                assert!(frame["voice_sdk_id"].is_string(), "{frame}");
                self.frames.entry(to).or_default().push_back(frame);
            }
            Output::Ping { to, number } => self.pings.push((to, number)),
            Output::Close { to, reason } => {
                self.closed.insert(to, reason);
            }
            Output::Datagram { to, bytes } if self.network_up => {
                self.sent_to.push(to);
                self.far_end
                    .handle_datagram(self.now, Flow::udp(vsp_address()), bytes);
            }
            Output::Datagram { .. } => {}
            Output::Media { token, command } => {
                self.gateway.commands.push(command.clone());
                if self.gateway.hold_replies {
                    self.gateway.held.push_back((token, command));
                } else {
                    let reply = self.gateway.reply(&command);
                    self.server.handle_reply(self.now, token, reply);
                }
            }
            Output::Ask { token, question } if self.auto_verdict => {
                self.server.handle_verdict(self.now, token, verdict(question));
            }
            Output::Ask { token, question } => self.questions.push((token, question)),
            Output::Locate { domain } => self.locations.push(domain),
            Output::Trace(call_id, event) => self.traces.push((call_id, event)),
            Output::Note(Note::CallEnded(record)) => self.records.push(*record),
            Output::Note(Note::Rejected { why, .. }) => self.rejections.push(why),
            Output::Note(Note::Login { outcome, .. }) => self.logins.push(outcome),
            Output::Note(Note::Transferred { way, status, .. }) => self.transfers.push((way, status)),
            Output::Note(_) => {}
        }
    }
}

/// Passwords are the user's name and `-pw`.
pub(crate) fn verdict(question: Question) -> Verdict {
    match question {
        Question::Password { user, password } if password.expose() == format!("{user}-pw") => {
            Verdict::Password { user }
        }
        Question::Password { .. } => Verdict::Refused(Refusal::WrongPassword),
        Question::Token { .. } => Verdict::Refused(Refusal::TokenSignature),
    }
}

/// The login of a user who wants a session back.
pub(crate) fn returning(user: &str, session: &str) -> Value {
    json!({"login": user, "passwd": format!("{user}-pw"), "reconnection": true, "sessid": session})
}

/// What the SDK sends, abridged.
pub(crate) fn invite_params(call: &str, number: &str) -> Value {
    json!({"sessid": "ignored", "sdp": OFFER, "User-Agent": "Web-2.27.10", "dialogParams": {
        "audio": true, "video": false, "attach": false, "callID": call, "destination_number": number,
        "remote_caller_id_name": "Outbound Call", "remote_caller_id_number": number,
        "caller_id_name": "Alice", "caller_id_number": "+15550100",
        "iceServers": [{"urls": "turn:x", "username": "u", "credential": "TURN-SECRET"}],
        "custom_headers": [{"name": "X-Ticket", "value": "8812"}]}})
}

pub(crate) fn header(message: &Message, name: &str) -> Option<String> {
    let name = HeaderName::new(name.as_bytes()).unwrap();
    message
        .first(name)
        .map(|value| String::from_utf8_lossy(value).into_owned())
}
