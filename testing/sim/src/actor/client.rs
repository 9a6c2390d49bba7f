//! A browser with the SDK: logs in, answers pings, acknowledges, follows the states of its calls.

use super::gateway::FOR;
use super::lines::TAG;
use super::moves::tag_of;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// No socket.
    Offline,
    /// Socket open, login sent.
    LoggingIn,
    /// `clientReady` and the gateway state have come.
    Ready,
}

/// How a call ended for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// `cause`
    pub cause: String,
    /// `causeCode`
    pub cause_code: u64,
    /// `sipCode`, if one was told.
    pub sip_code: Option<u64>,
}

/// A call as the client sees it, by the states of the SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallView {
    /// What happened, in order: `requesting`, `trying`, `ringing`, `early`, `active`, `hangup`; for a call that came in:
    /// `ringing`, `answering`, `active`, `hangup`.
    pub states: Vec<&'static str>,
    /// Set once it is over.
    pub ending: Option<Ending>,
    /// The client holds the far end, as far as was confirmed.
    pub holds: bool,
    /// The far end holds the client.
    pub is_held: bool,
    /// What became of the last transfer: `trying`, `done`, `failed`, `refused`.
    pub transfer: Option<String>,
    /// What the call is called from end to end, by its header.
    pub tag: String,
}

impl CallView {
    pub(super) fn new(tag: &str, states: Vec<&'static str>) -> Self {
        Self {
            states,
            ending: None,
            holds: false,
            is_held: false,
            transfer: None,
            tag: tag.to_owned(),
        }
    }

    /// Whether both talk.
    pub fn is_active(&self) -> bool {
        self.states.last() == Some(&"active")
    }

    /// Whether the page has seen the call from its beginning: one that was loaded anew does not know who holds whom.
    pub fn knows_hold(&self) -> bool {
        self.states.first() != Some(&"active")
    }
}

/// What the client gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOutput {
    /// Send this frame.
    Text(String),
}

/// One client of one user.
#[derive(Debug)]
pub struct Client {
    login: String,
    password: String,
    /// A token to log in with instead.
    pub(super) token: Option<String>,
    early_sdp_answer: bool,
    pub(super) state: ClientState,
    pub(super) session: Option<String>,
    voice_sdk_id: Option<String>,
    pub(super) calls: BTreeMap<String, CallView>,
    /// What calls are called from end to end, by the client's ids; a page that is loaded anew does not know it, we do.
    pub(super) tags: BTreeMap<String, String>,
    pending: BTreeMap<u64, Pending>,
    outputs: VecDeque<ClientOutput>,
    last_id: u64,
}

#[derive(Debug)]
pub(super) enum Pending {
    Login,
    /// With new credentials, on a socket that is logged in.
    Relogin,
    GatewayState,
    Invite(String),
    Answer(String),
    Bye(String),
    Hold(String),
    Transfer(String),
    Other,
}

impl Client {
    /// A client that is offline.
    pub fn new(login: &str, password: &str, early_sdp_answer: bool) -> Self {
        Self {
            login: login.into(),
            password: password.into(),
            token: None,
            early_sdp_answer,
            state: ClientState::Offline,
            session: None,
            voice_sdk_id: None,
            calls: BTreeMap::new(),
            tags: BTreeMap::new(),
            pending: BTreeMap::new(),
            outputs: VecDeque::new(),
            last_id: 0,
        }
    }

    /// Where it is.
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// What it brings in the URL of its next socket.
    pub fn voice_sdk_id(&self) -> Option<&str> {
        self.voice_sdk_id.as_deref()
    }

    /// Its calls, also those that are over.
    pub fn call(&self, id: &str) -> Option<&CallView> {
        self.calls.get(id)
    }

    /// How a call of its has ended; none while it goes on.
    pub fn ending(&self, id: &str) -> Option<&Ending> {
        self.call(id)?.ending.as_ref()
    }

    /// Whether it is the caller: then the call has its name.
    pub fn has_placed(&self, call: &str) -> bool {
        self.tags.get(call).is_some_and(|tag| tag == call)
    }

    /// Ids of calls that are not over.
    pub fn live_calls(&self) -> Vec<String> {
        self.calls
            .iter()
            .filter(|(_, call)| call.ending.is_none())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Its socket is open.
    pub fn handle_opened(&mut self) {
        self.state = ClientState::LoggingIn;
        self.log_in(Pending::Login);
    }

    pub(super) fn log_in(&mut self, pending: Pending) {
        let mut params = json!({"userVariables": {}, "reconnection": self.voice_sdk_id.is_some(),
            "loginParams": {"early_sdp_answer": self.early_sdp_answer}});
        match &self.token {
            Some(token) => params["login_token"] = token.clone().into(),
            None => {
                params["login"] = self.login.clone().into();
                params["passwd"] = self.password.clone().into();
            }
        }
        if let Some(session) = &self.session {
            params["sessid"] = session.clone().into();
        }
        self.request("login", params, pending);
    }

    /// Its socket is gone; calls live on, as in the SDK.
    pub fn handle_closed(&mut self) {
        self.state = ClientState::Offline;
        self.pending.clear();
        self.outputs.clear();
    }

    /// Dials. Does nothing before it is ready.
    pub fn dial(&mut self, call: &str, number: &str) {
        if self.state != ClientState::Ready {
            return;
        }
        self.tags.insert(call.into(), call.into());
        self.calls
            .insert(call.into(), CallView::new(call, vec!["requesting"]));
        let sdp = format!("offer of the browser{FOR}{call}");
        let params = json!({"sessid": self.session, "sdp": sdp, "dialogParams": {
            "callID": call, "destination_number": number, "caller_id_number": "", "caller_id_name": "",
            "custom_headers": [{"name": TAG, "value": call}]}});
        self.request("telnyx_rtc.invite", params, Pending::Invite(call.into()));
    }

    /// Answers a call that rings here.
    pub fn answer(&mut self, call: &str) {
        let Some(view) = self.calls.get_mut(call).filter(|view| view.states == ["ringing"]) else {
            return;
        };
        view.states.push("answering");
        let params =
            json!({"sessid": self.session, "sdp": "answer of the browser", "dialogParams": {"callID": call}});
        self.request("telnyx_rtc.answer", params, Pending::Answer(call.into()));
    }

    /// Hangs up; without a socket only its own side of the call is over.
    pub fn hang_up(&mut self, call: &str) {
        let Some(view) = self.calls.get(call).filter(|view| view.ending.is_none()) else {
            return;
        };
        let active = view.states.contains(&"active");
        let (cause, code) = if active {
            ("NORMAL_CLEARING", 16)
        } else {
            ("USER_BUSY", 17)
        };
        self.end(
            call,
            Ending {
                cause: cause.into(),
                cause_code: code,
                sip_code: None,
            },
        );
        if self.state == ClientState::Ready {
            let params = json!({"sessid": self.session, "cause": cause, "causeCode": code,
                "dialogParams": {"callID": call, "custom_headers": []}});
            self.request("telnyx_rtc.bye", params, Pending::Bye(call.into()));
        }
    }

    /// Sends digits.
    pub fn send_digits(&mut self, call: &str, digits: &str) {
        let params = json!({"sessid": self.session, "dtmf": digits, "dialogParams": {"callID": call}});
        self.request("telnyx_rtc.info", params, Pending::Other);
    }

    /// A frame came. Panics on what the SDK would stumble over: the scene is then wrong, or the VSP is.
    pub fn handle_text(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).expect("every frame is JSON");
        let voice_sdk_id = frame["voice_sdk_id"]
            .as_str()
            .expect("every frame carries voice_sdk_id");
        self.voice_sdk_id = Some(voice_sdk_id.into());
        match frame["method"].as_str() {
            Some(method) => self.on_message(method, &frame),
            None => self.on_answer(&frame),
        }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    fn on_message(&mut self, method: &str, frame: &Value) {
        let params = &frame["params"];
        let call = params["callID"].as_str().unwrap_or_default().to_owned();
        match method.trim_start_matches("telnyx_rtc.") {
            "ping" => self.request("telnyx_rtc.ping", json!({}), Pending::Other),
            "clientReady" => self.on_client_ready(params),
            "invite" => {
                assert!(params["sdp"].is_string(), "an invite carries an SDP");
                let tag = tag_of(params);
                self.tags.insert(call.clone(), tag.clone());
                self.calls
                    .entry(call.clone())
                    .or_insert_with(|| CallView::new(&tag, Vec::new()));
                self.step(&call, "ringing", frame);
            }
            "ringing" => self.step(&call, "ringing", frame),
            "media" => {
                assert!(params["sdp"].is_string(), "media carries an SDP");
                self.step(&call, "early", frame);
            }
            "answer" => {
                let early = self
                    .calls
                    .get(&call)
                    .is_some_and(|view| view.states.contains(&"early"));
                assert!(
                    early || params["sdp"].is_string() || !self.is_live(&call),
                    "an answer needs an SDP"
                );
                self.step(&call, "active", frame);
            }
            "bye" => {
                let ending = Ending {
                    cause: params["cause"].as_str().expect("a bye has a cause").into(),
                    cause_code: params["causeCode"].as_u64().expect("a bye has a cause code"),
                    sip_code: params["sipCode"].as_u64(),
                };
                self.end(&call, ending);
            }
            "attach" => self.on_attach(&call, frame),
            "event" => self.on_call_event(params),
            "info" | "display" => {}
            other => panic!("unexpected message {other}"),
        }
    }

    fn on_client_ready(&mut self, params: &Value) {
        let kept: Vec<&str> = params["reattached_sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let live = self.live_calls();
        if !live.is_empty() && !live.iter().any(|call| kept.contains(&call.as_str())) {
            for call in live {
                self.end(
                    &call,
                    Ending {
                        cause: "SESSION_NOT_REATTACHED".into(),
                        cause_code: 48501,
                        sip_code: None,
                    },
                );
            }
        }
        self.request("telnyx_rtc.gatewayState", json!({}), Pending::GatewayState);
    }

    fn on_answer(&mut self, frame: &Value) {
        let Some(pending) = frame["id"].as_u64().and_then(|id| self.pending.remove(&id)) else {
            return;
        };
        let is_error = frame["error"].is_object();
        assert!(
            is_error || frame["result"].is_object(),
            "an answer is a result object or an error"
        );
        match pending {
            Pending::Login if is_error => self.state = ClientState::Offline,
            Pending::Login => self.session = frame["result"]["sessid"].as_str().map(str::to_owned),
            Pending::Relogin => assert!(!is_error, "new credentials on a live socket: {frame}"),
            Pending::Hold(call) => self.on_hold_result(&call, frame),
            Pending::Transfer(call) if is_error => self.on_transfer(&call, "refused"),
            Pending::Transfer(_) => {}
            // Its token is over.
            Pending::GatewayState if is_error => self.state = ClientState::Ready,
            Pending::GatewayState => {
                assert_eq!(frame["result"]["params"]["state"], "REGED");
                self.state = ClientState::Ready;
            }
            Pending::Invite(call) if is_error => {
                self.end(
                    &call,
                    Ending {
                        cause: "USER_BUSY".into(),
                        cause_code: 17,
                        sip_code: None,
                    },
                );
            }
            Pending::Invite(call) => {
                let Some(view) = self.calls.get_mut(&call).filter(|view| view.ending.is_none()) else {
                    return;
                };
                assert_eq!(
                    view.states,
                    ["requesting"],
                    "the result of an invite comes before all else"
                );
                view.states.push("trying");
            }
            Pending::Answer(call) if is_error => {
                let ending = Ending {
                    cause: "CALL_REJECTED".into(),
                    cause_code: 40005,
                    sip_code: None,
                };
                self.end(&call, ending);
            }
            Pending::Answer(call) => {
                if let Some(view) = self.calls.get_mut(&call).filter(|view| view.ending.is_none()) {
                    view.states.push("active");
                }
            }
            Pending::Bye(call) => assert!(!is_error, "the bye of {call} was answered with an error"),
            Pending::Other => {}
        }
    }

    pub(super) fn step(&mut self, call: &str, state: &'static str, frame: &Value) {
        let Some(view) = self.calls.get_mut(call).filter(|view| view.ending.is_none()) else {
            return;
        };
        view.states.push(state);
        let ack = json!({"jsonrpc": "2.0", "id": frame["id"], "result": {"method": frame["method"]}});
        self.outputs.push_back(ClientOutput::Text(ack.to_string()));
    }

    pub(super) fn end(&mut self, call: &str, ending: Ending) {
        if let Some(view) = self.calls.get_mut(call)
            && view.ending.is_none()
        {
            view.states.push("hangup");
            view.ending = Some(ending);
        }
    }

    fn is_live(&self, call: &str) -> bool {
        self.calls.get(call).is_some_and(|view| view.ending.is_none())
    }

    pub(super) fn request(&mut self, method: &str, params: Value, pending: Pending) {
        self.last_id += 1;
        self.pending.insert(self.last_id, pending);
        let frame = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.outputs.push_back(ClientOutput::Text(frame.to_string()));
    }
}
