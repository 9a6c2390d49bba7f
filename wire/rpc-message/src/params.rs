//! The `params` of all methods, and what each method takes from them.

use crate::decode::cut;
use crate::lenient;
use crate::{
    AnonymousLogin, Answer, Bye, CALL_ID_LEN_MAX, Candidate, ClientCallId, ClientMethod, DialogParams,
    ErrorCode, Info, Invite, Login, METHOD_LEN_MAX, Modify, ModifyAction, RpcError,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Reads the request `method` with these `params`.
pub(crate) fn read_method(method: &str, params: Option<&RawValue>) -> Result<ClientMethod, RpcError> {
    let params = || parse_params(params);
    Ok(match method {
        "login" => ClientMethod::Login(Box::new(params()?.login())),
        "anonymous_login" => {
            let params = params()?;
            ClientMethod::AnonymousLogin(Box::new(AnonymousLogin {
                user_agent: params.user_agent(),
                target_type: params.target_type,
                target_id: params.target_id,
                session: params.sessid,
            }))
        }
        "ai_conversation" => ClientMethod::AiConversation,
        _ => match method
            .strip_prefix("telnyx_rtc.")
            .or_else(|| method.strip_prefix("webrtc."))
        {
            Some(name) => read_call_method(name, params)?,
            None => ClientMethod::Unknown(cut(method, METHOD_LEN_MAX)),
        },
    })
}

fn read_call_method(
    name: &str,
    params: impl FnOnce() -> Result<Params, RpcError>,
) -> Result<ClientMethod, RpcError> {
    Ok(match name {
        "invite" => {
            let Answer {
                call,
                sdp,
                trickle,
                dialog,
            } = params()?.with_sdp()?;
            ClientMethod::Invite(Box::new(Invite {
                call,
                sdp,
                trickle,
                dialog,
            }))
        }
        "answer" => ClientMethod::Answer(Box::new(params()?.with_sdp()?)),
        "attach" => ClientMethod::Attach(Box::new(params()?.with_sdp()?)),
        "modify" => ClientMethod::Modify(Box::new(params()?.modify()?)),
        "bye" => ClientMethod::Bye(Box::new(params()?.bye()?)),
        "info" => {
            let params = params()?;
            ClientMethod::Info {
                call: params.call()?,
                info: params.info(),
            }
        }
        "candidate" => {
            let params = params()?;
            ClientMethod::Candidate(Candidate {
                call: params.call()?,
                candidate: params.candidate.unwrap_or_default(),
            })
        }
        "endOfCandidates" => ClientMethod::EndOfCandidates {
            call: params()?.call()?,
        },
        "gatewayState" => ClientMethod::GatewayState {
            in_message: params().is_ok_and(|params| params.method.is_some()),
        },
        "ping" => ClientMethod::Ping,
        "subscribe" => ClientMethod::Subscribe {
            channels: params()?.channels,
        },
        "unsubscribe" => ClientMethod::Unsubscribe {
            channels: params()?.channels,
        },
        "broadcast" => ClientMethod::Broadcast,
        "attachCalls" => ClientMethod::AttachCalls,
        "ringing_ack" => ClientMethod::RingingAck {
            call: params()?.call()?,
        },
        "disable_push_notification" => ClientMethod::DisablePushNotification,
        _ => ClientMethod::Unknown(cut(name, METHOD_LEN_MAX)),
    })
}

/// The members of `params` of all methods; those that a frame lacks keep their defaults.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    #[serde(deserialize_with = "lenient::text")]
    login: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    passwd: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    login_token: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    sessid: Option<String>,
    #[serde(deserialize_with = "lenient::flag")]
    reconnection: bool,
    #[serde(rename = "loginParams")]
    login_params: Value,
    #[serde(rename = "User-Agent")]
    user_agent: Value,
    #[serde(deserialize_with = "lenient::text")]
    method: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    target_type: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    target_id: Option<String>,
    #[serde(rename = "callID", deserialize_with = "lenient::text")]
    call_id: Option<String>,
    #[serde(rename = "callId", deserialize_with = "lenient::text")]
    call_id_mobile: Option<String>,
    #[serde(rename = "dialogParams")]
    dialog: Option<Box<RawValue>>,
    #[serde(skip)]
    dialog_params: DialogParams,
    #[serde(deserialize_with = "lenient::text")]
    sdp: Option<String>,
    #[serde(deserialize_with = "lenient::flag")]
    trickle: bool,
    #[serde(deserialize_with = "lenient::text")]
    action: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    destination: Option<String>,
    #[serde(rename = "replaceCallID", deserialize_with = "lenient::text")]
    replace_call_id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    cause: Option<String>,
    #[serde(rename = "causeCode", deserialize_with = "lenient::number")]
    cause_code: Option<u16>,
    #[serde(rename = "sipCode", deserialize_with = "lenient::number")]
    sip_code: Option<u16>,
    #[serde(deserialize_with = "lenient::text")]
    dtmf: Option<String>,
    msg: Option<Value>,
    #[serde(deserialize_with = "lenient::text")]
    candidate: Option<String>,
    #[serde(rename = "eventChannel", deserialize_with = "lenient::channels")]
    channels: Vec<String>,
}

fn parse_params(raw: Option<&RawValue>) -> Result<Params, RpcError> {
    let invalid = |message: String| RpcError::new(ErrorCode::InvalidParams, message);
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else {
        return Ok(Params::default());
    };
    if !raw.starts_with('{') {
        return Err(invalid("params is an object".into()));
    }
    let mut params: Params = serde_json::from_str(raw).map_err(|e| invalid(format!("params: {e}")))?;
    if let Some(dialog) = params.dialog.take() {
        if !dialog.get().starts_with('{') {
            return Err(invalid("dialogParams is an object".into()));
        }
        params.dialog_params =
            serde_json::from_str(dialog.get()).map_err(|e| invalid(format!("dialogParams: {e}")))?;
    }
    Ok(params)
}

impl Params {
    fn call(&self) -> Result<ClientCallId, RpcError> {
        let dialog = &self.dialog_params;
        let text = [
            &dialog.call_id,
            &dialog.call_id_mobile,
            &self.call_id,
            &self.call_id_mobile,
        ]
        .into_iter()
        .find_map(Option::as_deref)
        .ok_or_else(|| RpcError::new(ErrorCode::InvalidParams, "dialogParams.callID is missing"))?;
        ClientCallId::new(text).ok_or_else(|| {
            let message = format!("a callID has 1 to {CALL_ID_LEN_MAX} bytes and no control characters");
            RpcError::new(ErrorCode::InvalidParams, message)
        })
    }

    /// A text, or an object with the version.
    fn user_agent(&self) -> Option<String> {
        let text = |value: &Value| value.as_str().map(|text| cut(text, METHOD_LEN_MAX));
        text(&self.user_agent).or_else(|| self.user_agent.get("sdkVersion").and_then(text))
    }

    fn login(self) -> Login {
        let user_agent = self.user_agent();
        let early = self.login_params.get("early_sdp_answer");
        Login {
            user: self.login,
            password: self.passwd,
            token: self.login_token.filter(|token| !token.is_empty()),
            session: self.sessid,
            reconnection: self.reconnection,
            early_sdp_answer: early.is_some_and(|flag| *flag == Value::Bool(true) || *flag == "true"),
            user_agent,
        }
    }

    fn with_sdp(self) -> Result<Answer, RpcError> {
        let call = self.call()?;
        let missing = || RpcError::new(ErrorCode::InvalidParams, "sdp is missing");
        Ok(Answer {
            call,
            sdp: self.sdp.filter(|sdp| !sdp.is_empty()).ok_or_else(missing)?,
            trickle: self.trickle || self.dialog_params.trickle || self.dialog_params.use_trickle_ice,
            dialog: self.dialog_params,
        })
    }

    fn bye(self) -> Result<Bye, RpcError> {
        let call = self.call()?;
        let mut headers = self.dialog_params.custom_headers;
        headers.extend(self.dialog_params.custom_headers_camel);
        Ok(Bye {
            call,
            cause: self.cause,
            cause_code: self.cause_code,
            sip_code: self.sip_code,
            headers,
        })
    }

    fn modify(self) -> Result<Modify, RpcError> {
        let call = self.call()?;
        let action = match self.action.as_deref() {
            Some("hold") => ModifyAction::Hold,
            Some("unhold") => ModifyAction::Unhold,
            Some("toggleHold") => ModifyAction::ToggleHold,
            Some("updateMedia") => {
                let Answer { sdp, trickle, .. } = self.with_sdp()?;
                ModifyAction::UpdateMedia { sdp, trickle }
            }
            Some("transfer") => ModifyAction::Transfer {
                destination: self.destination.unwrap_or_default(),
            },
            Some("replace") => ModifyAction::Replace {
                other: self
                    .replace_call_id
                    .as_deref()
                    .and_then(ClientCallId::new)
                    .ok_or_else(|| {
                        RpcError::new(ErrorCode::InvalidParams, "replaceCallID names the other call")
                    })?,
            },
            other => ModifyAction::Other(cut(other.unwrap_or_default(), METHOD_LEN_MAX)),
        };
        Ok(Modify { call, action })
    }

    fn info(self) -> Info {
        match (self.dtmf, self.msg) {
            (Some(digits), _) => Info::Dtmf(digits),
            (None, Some(message)) => Info::Message {
                body: message
                    .get("body")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            },
            (None, None) => Info::Other,
        }
    }
}
