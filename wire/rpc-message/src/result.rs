//! The `result` member of an answer: always an object, with the fields that at least one SDK reads.

use crate::{ClientCallId, FrameId, SessionId, VoiceSdkId};
use serde_json::{Value, json};

/// `holdState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// `active`.
    Active,
    /// `held`.
    Held,
}

impl HoldState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            HoldState::Active => "active",
            HoldState::Held => "held",
        }
    }
}

/// `params.state` of a gateway answer: the states that our server gives (`TRYING` would leave the SDK waiting for ever).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatewayState {
    /// Registered: the client becomes ready.
    Reged,
    /// Not yet: the client asks again after 2 to 6 s.
    NoReg,
    /// The SIP side does not work, and that will not change by itself.
    Failed,
    /// The SIP side does not work for now, and is tried again.
    FailWait,
}

impl GatewayState {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            GatewayState::Reged => "REGED",
            GatewayState::NoReg => "NOREG",
            GatewayState::Failed => "FAILED",
            GatewayState::FailWait => "FAIL_WAIT",
        }
    }
}

/// Answer to `gatewayState`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// State of the way to the carriers.
    pub state: GatewayState,
    /// Names the session in report uploads; its presence turns the SDK's statistics and no-RTP recovery on.
    pub call_report_id: Option<String>,
    /// Site that serves the client.
    pub dc: String,
    /// Region of that site.
    pub region: String,
}

/// What a request is answered with; the session id is added to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultBody {
    /// To `login` and `anonymous_login`.
    LoggedIn {
        /// Version of this dialect that the server speaks; SDKs that do not know the field ignore it.
        protocol_version: u32,
    },
    /// To `telnyx_rtc.gatewayState`.
    Gateway(GatewayStatus),
    /// To `telnyx_rtc.ping`.
    Pong,
    /// To `telnyx_rtc.invite`.
    CallCreated(ClientCallId),
    /// To `telnyx_rtc.answer`.
    CallAnswered(ClientCallId),
    /// To `telnyx_rtc.attach`.
    CallAttached(ClientCallId),
    /// To `telnyx_rtc.bye`.
    CallEnded {
        /// Call that ended.
        call: ClientCallId,
        /// Name of the cause.
        cause: String,
        /// Number of the cause.
        cause_code: u16,
    },
    /// To the hold family of `telnyx_rtc.modify`.
    Hold {
        /// Call.
        call: ClientCallId,
        /// The action that was asked: `hold`, `unhold`, `toggleHold`.
        action: &'static str,
        /// State after it.
        state: HoldState,
    },
    /// To `telnyx_rtc.modify` `updateMedia`.
    UpdatedMedia {
        /// Call.
        call: ClientCallId,
        /// Answer to the new offer.
        sdp: String,
        /// Whether the call is held.
        state: HoldState,
    },
    /// To the transfers of `telnyx_rtc.modify`: the far end will try.
    Transferring {
        /// Call.
        call: ClientCallId,
        /// The action that was asked: `transfer`, `replace`.
        action: &'static str,
    },
    /// To `telnyx_rtc.info`.
    Sent,
    /// To candidates and other requests of a call of which nothing is read.
    Call(ClientCallId),
    /// To `telnyx_rtc.subscribe`: we have no channels, all are listed as unauthorized.
    NotSubscribed {
        /// The channels that were asked.
        channels: Vec<String>,
    },
    /// To `telnyx_rtc.unsubscribe`.
    NotUnsubscribed {
        /// The channels that were asked.
        channels: Vec<String>,
    },
    /// To `telnyx_rtc.broadcast`: the session id alone.
    Broadcast,
    /// To `telnyx_rtc.disable_push_notification`; mobile SDKs look for `success`.
    PushDisabled,
    /// To frames of which nothing is read: debug reports, conversation items.
    Empty,
}

impl ResultBody {
    /// The answer to the request `id` as JSON text. `session` is absent before a login.
    pub fn encode(&self, id: &FrameId, session: Option<&SessionId>, voice_sdk_id: &VoiceSdkId) -> String {
        let mut result = self.fields();
        if let (Value::Object(fields), Some(session)) = (&mut result, session)
            && *self != ResultBody::Empty
        {
            fields.insert("sessid".into(), json!(session));
        }
        json!({"jsonrpc": "2.0", "id": id, "result": result, "voice_sdk_id": voice_sdk_id}).to_string()
    }

    fn fields(&self) -> Value {
        match self {
            ResultBody::LoggedIn { protocol_version } => {
                json!({"message": "logged in", "protocol_version": protocol_version})
            }
            ResultBody::Gateway(status) => json!({"params": gateway(status)}),
            ResultBody::Pong => json!({"message": "PONG"}),
            ResultBody::CallCreated(call) => json!({"callID": call, "message": "CALL CREATED"}),
            ResultBody::CallAnswered(call) => json!({"callID": call, "message": "CALL ANSWERED"}),
            ResultBody::CallAttached(call) => json!({"callID": call, "message": "CALL ATTACHED"}),
            ResultBody::CallEnded {
                call,
                cause,
                cause_code,
            } => json!({"callID": call, "message": "CALL ENDED", "cause": cause, "causeCode": cause_code}),
            ResultBody::Hold { call, action, state } => {
                json!({"callID": call, "action": action, "holdState": state.as_str()})
            }
            ResultBody::UpdatedMedia { call, sdp, state } => {
                json!({"callID": call, "action": "updateMedia", "sdp": sdp, "holdState": state.as_str()})
            }
            ResultBody::Transferring { call, action } => json!({"callID": call, "action": action}),
            ResultBody::Sent => json!({"message": "SENT"}),
            ResultBody::Call(call) => json!({"callID": call}),
            ResultBody::NotSubscribed { channels } => {
                json!({"subscribedChannels": [], "alreadySubscribedChannels": [], "unauthorizedChannels": channels})
            }
            ResultBody::NotUnsubscribed { channels } => {
                json!({"unsubscribedChannels": [], "notSubscribedChannels": channels})
            }
            ResultBody::PushDisabled => json!({"message": "disable push notification success"}),
            ResultBody::Broadcast | ResultBody::Empty => json!({}),
        }
    }
}

fn gateway(status: &GatewayStatus) -> Value {
    let mut params = json!({"state": status.state.as_str(), "dc": status.dc, "region": status.region});
    if let (Value::Object(fields), Some(id)) = (&mut params, &status.call_report_id) {
        fields.insert("call_report_id".into(), json!(id));
    }
    params
}
