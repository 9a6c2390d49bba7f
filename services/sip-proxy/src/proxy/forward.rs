//! Makes the messages that go on: requests (§16.6) and responses (§16.7 step 3).

use super::own_route::hash;
use offhook_call_trace::{CALL_ID_HEADER, CallId};
use offhook_sip_message::header::{CSeq, Header, MaxForwards, RAck, Transport, Via};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Host, Message, ParamWriter, ParseError, UriBuf};
use std::net::SocketAddr;

pub(super) const CALL_ID: HeaderName<'static> = HeaderName::custom(CALL_ID_HEADER);

/// Max-Forwards where the request brought none (§16.6 step 3).
const MAX_FORWARDS: u8 = 70;

/// How a request is changed on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Forward {
    pub(super) request_uri: Option<UriBuf>,
    pub(super) record_route: Option<HeaderValue>,
    pub(super) routes: Routes,
    /// How much higher its CSeq is behind us.
    pub(super) shift: u32,
    pub(super) credentials: Vec<(HeaderName<'static>, HeaderValue)>,
    /// The call id header that goes on; what the request brought is replaced.
    pub(super) call: Option<CallId>,
}

/// What becomes of the Route headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Routes {
    /// The first so many, which are ours, go.
    Pop(usize),
    /// All are replaced: strict routers are on the way (§16.4, §16.6 step 6).
    Set(Vec<HeaderValue>),
}

impl Default for Routes {
    fn default() -> Self {
        Self::Pop(0)
    }
}

impl Forward {
    /// The request that goes on, with our Via on top.
    pub(super) fn apply(
        &self,
        request: &Message,
        address: SocketAddr,
        branch: &str,
    ) -> Result<Message, ParseError> {
        let mut edit = Edit::new(request);
        if let Some(uri) = &self.request_uri {
            edit.request_uri(&uri.uri());
        }
        let hops = request
            .get::<MaxForwards>()
            .and_then(Result::ok)
            .map_or(MAX_FORWARDS, |hops| hops.0.saturating_sub(1));
        edit.replace(HeaderName::MaxForwards, &HeaderValue::number(hops));
        match &self.routes {
            Routes::Pop(0) => {}
            Routes::Pop(count) => edit.pop_values(HeaderName::Route, *count),
            Routes::Set(routes) => {
                edit.remove(HeaderName::Route);
                for route in routes {
                    edit.append(HeaderName::Route, route);
                }
            }
        }
        if let Some(value) = &self.record_route {
            edit.prepend(HeaderName::RecordRoute, value);
        }
        let params = ParamWriter::new().pair("branch", branch);
        let via = Via {
            transport: Transport::Udp,
            host: Host::from(address.ip()),
            port: Some(address.port()),
            params: params.params(),
        };
        if let Ok(value) = via.to_value() {
            edit.prepend(HeaderName::Via, &value);
        }
        if self.shift > 0 {
            self.shift_cseq(request, &mut edit);
        }
        for (name, value) in &self.credentials {
            edit.append(*name, value);
        }
        if let Some(call) = &self.call
            && request.first(CALL_ID) != Some(call.as_str().as_bytes())
            && let Ok(value) = HeaderValue::new(call.as_str().to_owned())
        {
            edit.replace(CALL_ID, &value);
        }
        edit.finish_message()
    }

    fn shift_cseq(&self, request: &Message, edit: &mut Edit<'_>) {
        if let Ok(CSeq { number, method }) = request.require() {
            let shifted = CSeq {
                number: number.saturating_add(self.shift),
                method,
            };
            set(edit, HeaderName::CSeq, &shifted);
        }
        // A PRACK names the INVITE by the number that the carrier knows (RFC 3262 §7.2).
        if let Some(Ok(RAck { response, mut cseq })) = request.get() {
            cseq.number = cseq.number.saturating_add(self.shift);
            set(edit, HeaderName::RAck, &RAck { response, cseq });
        }
    }
}

fn set<'a>(edit: &mut Edit<'_>, name: HeaderName<'_>, header: &impl Header<'a>) {
    if let Ok(value) = header.to_value() {
        edit.replace(name, &value);
    }
}

/// The response as the sender of `request` wants it: without our Via, and with the CSeq that it sent. `None` if no Via
/// is left: then it was for us.
pub(super) fn response_upstream(request: &Message, response: &Message) -> Option<Message> {
    response.values(HeaderName::Via).nth(1)?;
    let mut edit = Edit::new(response);
    edit.pop_values(HeaderName::Via, 1);
    let sent = request.first(HeaderName::CSeq)?;
    if response.first(HeaderName::CSeq) != Some(sent)
        && let Ok(value) = HeaderValue::unfold(sent)
    {
        edit.replace(HeaderName::CSeq, &value);
    }
    edit.finish_message().ok()
}

/// What a request is routed by, as the end of our branch: when one of our own Vias carries the same, it went in a circle
/// (§16.3 step 4, §16.6 step 8).
pub(super) fn loop_mark(request: &Message) -> String {
    let uri = request
        .request_uri()
        .and_then(Result::ok)
        .map(|uri| uri.as_bytes())
        .unwrap_or_default();
    let header = |name| request.first(name).unwrap_or_default();
    let mark = hash(&[
        uri,
        header(HeaderName::From),
        header(HeaderName::To),
        header(HeaderName::CallId),
        header(HeaderName::CSeq),
        header(HeaderName::ProxyRequire),
        header(HeaderName::Route),
    ]);
    format!(".{mark:016x}")
}
