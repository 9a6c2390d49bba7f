//! Requests and events of the server.

use crate::{CUSTOM_HEADERS_MAX, ClientCallId, GatewayState, VoiceSdkId, validate::CustomHeader};
use serde_json::{Value, json};

/// Name and number of one side of a call, as an application shows them. May be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// Display name.
    pub name: String,
    /// Number or user name.
    pub number: String,
}

/// Ids of a call beside `callID`; SDKs other than the JS one need session and leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallIds {
    /// `telnyx_call_control_id`.
    pub control: String,
    /// `telnyx_session_id`: groups the legs of a call; we put the platform's call id here.
    pub session: String,
    /// `telnyx_leg_id`: this leg; a UUID.
    pub leg: String,
}

/// What `bye` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByeMessage {
    /// Call that is over.
    pub call: ClientCallId,
    /// Name of the cause, for example `USER_BUSY`.
    pub cause: String,
    /// Its number, for example 17.
    pub cause_code: u16,
    /// SIP status that ended the call, if one did.
    pub sip_code: Option<u16>,
    /// Its reason phrase.
    pub sip_reason: Option<String>,
    /// `Call-ID` of the SIP dialog, if there was one.
    pub sip_call_id: Option<String>,
    /// Opaque text of the application, base64.
    pub client_state: Option<String>,
    /// `X-` headers of the message that ended the call.
    pub headers: Vec<CustomHeader>,
}

/// What the server sends on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// After a login. `None` leaves the list of calls out; an empty list destroys every call in the browser.
    ClientReady {
        /// Live calls of the session.
        reattached: Option<Vec<ClientCallId>>,
    },
    /// The far end rings.
    Ringing {
        /// Call.
        call: ClientCallId,
        /// Who calls.
        caller: Party,
        /// Who is called.
        callee: Party,
        /// Further ids.
        ids: CallIds,
        /// `X-` headers of the response.
        headers: Vec<CustomHeader>,
    },
    /// Answer to the client's offer before the far end has answered.
    Media {
        /// Call.
        call: ClientCallId,
        /// SDP answer.
        sdp: String,
        /// `X-` headers of the response.
        headers: Vec<CustomHeader>,
    },
    /// The far end has answered.
    Answer {
        /// Call.
        call: ClientCallId,
        /// SDP answer, if none went out in [`ServerMessage::Media`].
        sdp: Option<String>,
        /// Further ids.
        ids: CallIds,
        /// `X-` headers of the response.
        headers: Vec<CustomHeader>,
    },
    /// The call is over.
    Bye(ByeMessage),
    /// A call for the client.
    Invite {
        /// Call.
        call: ClientCallId,
        /// SDP offer.
        sdp: String,
        /// Who calls.
        caller: Party,
        /// Who is called.
        callee: Party,
        /// Further ids.
        ids: CallIds,
        /// Opaque text of the application, base64.
        client_state: Option<String>,
        /// `X-` headers of the INVITE.
        headers: Vec<CustomHeader>,
    },
    /// A new offer for a call that the session already has.
    Attach {
        /// Call.
        call: ClientCallId,
        /// SDP offer.
        sdp: String,
        /// Who called.
        caller: Party,
        /// Who was called.
        callee: Party,
        /// Further ids.
        ids: CallIds,
        /// Opaque text of the application, base64.
        client_state: Option<String>,
    },
    /// Keeps the socket alive; the SDK answers with a ping of its own.
    Ping {
        /// Any number; React Native wants one.
        serno: u64,
    },
    /// State of the way to the carriers, for clients that read it in no result.
    GatewayState {
        /// The state.
        state: GatewayState,
    },
    /// Sends the client away for good.
    Punt {},
    /// Something happened to a call or the session.
    Event {
        /// Call id, session id or channel.
        channel: String,
        /// What happened.
        data: Value,
    },
    /// A digit or a text of the far end.
    Info {
        /// Call.
        call: ClientCallId,
        /// Digits, if it is about digits.
        dtmf: Option<String>,
    },
    /// A text of the far end; an `info` too.
    Text {
        /// Call.
        call: ClientCallId,
        /// Who wrote it.
        from: String,
        /// To whom.
        to: String,
        /// Text.
        body: String,
    },
    /// The far end's name or number changed.
    Display {
        /// Call.
        call: ClientCallId,
        /// New far end.
        party: Party,
    },
}

impl ServerMessage {
    /// The bare method, as traces name it: `ringing`, `bye`, ….
    pub const fn name(&self) -> &'static str {
        match self {
            ServerMessage::ClientReady { .. } => "clientReady",
            ServerMessage::Ringing { .. } => "ringing",
            ServerMessage::Media { .. } => "media",
            ServerMessage::Answer { .. } => "answer",
            ServerMessage::Bye(_) => "bye",
            ServerMessage::Invite { .. } => "invite",
            ServerMessage::Attach { .. } => "attach",
            ServerMessage::Ping { .. } => "ping",
            ServerMessage::GatewayState { .. } => "gatewayState",
            ServerMessage::Punt {} => "punt",
            ServerMessage::Event { .. } => "event",
            ServerMessage::Info { .. } | ServerMessage::Text { .. } => "info",
            ServerMessage::Display { .. } => "display",
        }
    }

    /// The frame as JSON text. `id` is an integer so that it can never equal a client's UUID.
    pub fn encode(&self, id: u64, voice_sdk_id: &VoiceSdkId) -> String {
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": format!("telnyx_rtc.{}", self.name()),
            "params": self.params(),
            "voice_sdk_id": voice_sdk_id,
        })
        .to_string()
    }

    fn params(&self) -> Value {
        match self {
            ServerMessage::ClientReady { reattached: None } | ServerMessage::Punt {} => json!({}),
            ServerMessage::ClientReady {
                reattached: Some(calls),
            } => json!({"reattached_sessions": calls}),
            ServerMessage::Ringing {
                call,
                caller,
                callee,
                ids,
                headers,
            } => {
                let mut params = dialog(call, caller, callee, ids, headers);
                set(&mut params, "display_direction", json!("inbound"));
                params
            }
            ServerMessage::Media { call, sdp, headers } => {
                json!({"callID": call, "sdp": sdp, "dialogParams": header_list(headers), "variables": {}})
            }
            ServerMessage::Answer {
                call,
                sdp,
                ids,
                headers,
            } => answer_params(call, sdp.as_deref(), ids, headers),
            ServerMessage::Bye(bye) => bye_params(bye),
            ServerMessage::Invite {
                call,
                sdp,
                caller,
                callee,
                ids,
                client_state,
                headers,
            } => {
                let mut params = offer(sdp, dialog(call, caller, callee, ids, headers));
                set_client_state(&mut params, client_state.as_deref());
                params
            }
            ServerMessage::Attach {
                call,
                sdp,
                caller,
                callee,
                ids,
                client_state,
            } => {
                let mut params = offer(sdp, dialog(call, caller, callee, ids, &[]));
                set_client_state(&mut params, client_state.as_deref());
                params
            }
            ServerMessage::Ping { serno } => json!({"serno": serno}),
            ServerMessage::GatewayState { state } => json!({"state": state.as_str()}),
            ServerMessage::Event { channel, data } => json!({"eventChannel": channel, "eventData": data}),
            ServerMessage::Info {
                call,
                dtmf: Some(dtmf),
            } => json!({"callID": call, "dtmf": dtmf}),
            ServerMessage::Info { call, dtmf: None } => json!({"callID": call}),
            ServerMessage::Text { call, from, to, body } => {
                json!({"callID": call, "msg": {"from": from, "to": to, "body": body}})
            }
            ServerMessage::Display { call, party } => json!({
                "callID": call, "display_name": party.name, "display_number": party.number,
                "display_direction": "inbound",
            }),
        }
    }
}

fn answer_params(call: &ClientCallId, sdp: Option<&str>, ids: &CallIds, headers: &[CustomHeader]) -> Value {
    let mut params = json!({"callID": call, "dialogParams": header_list(headers), "variables": {}});
    set_ids(&mut params, ids);
    if let Some(sdp) = sdp {
        set(&mut params, "sdp", json!(sdp));
    }
    params
}

fn bye_params(bye: &ByeMessage) -> Value {
    let headers = header_values(&bye.headers);
    let mut params = json!({
        "callID": bye.call, "cause": bye.cause, "causeCode": bye.cause_code,
        // The JS SDK reads only `customHeaders` here, the mobile ones only `custom_headers`.
        "dialogParams": {"custom_headers": headers, "customHeaders": headers},
    });
    if let Some(code) = bye.sip_code {
        set(&mut params, "sipCode", json!(code));
    }
    if let Some(reason) = &bye.sip_reason {
        set(&mut params, "sipReason", json!(reason));
    }
    if let Some(id) = &bye.sip_call_id {
        set(&mut params, "sip_call_id", json!(id));
    }
    set_client_state(&mut params, bye.client_state.as_deref());
    params
}

fn dialog(
    call: &ClientCallId,
    caller: &Party,
    callee: &Party,
    ids: &CallIds,
    headers: &[CustomHeader],
) -> Value {
    let mut params = json!({
        "callID": call,
        "caller_id_name": caller.name, "caller_id_number": caller.number,
        "callee_id_name": callee.name, "callee_id_number": callee.number,
        "dialogParams": header_list(headers),
    });
    set_ids(&mut params, ids);
    params
}

fn offer(sdp: &str, mut params: Value) -> Value {
    set(&mut params, "sdp", json!(sdp));
    set(&mut params, "display_direction", json!("outbound"));
    set(&mut params, "variables", json!({}));
    params
}

fn set_ids(params: &mut Value, ids: &CallIds) {
    set(params, "telnyx_call_control_id", json!(ids.control));
    set(params, "telnyx_session_id", json!(ids.session));
    set(params, "telnyx_leg_id", json!(ids.leg));
}

fn set_client_state(params: &mut Value, state: Option<&str>) {
    if let Some(state) = state {
        set(params, "client_state", json!(state));
    }
}

fn set(params: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = params {
        fields.insert(key.into(), value);
    }
}

fn header_list(headers: &[CustomHeader]) -> Value {
    json!({"custom_headers": header_values(headers)})
}

fn header_values(headers: &[CustomHeader]) -> Vec<Value> {
    headers
        .iter()
        .take(CUSTOM_HEADERS_MAX)
        .map(|header| json!({"name": header.name(), "value": header.value()}))
        .collect()
}
