//! Makes the messages that go on: requests (§16.6) and responses (§16.7 step 3).

use super::identity::Disclosure;
use super::own_route::{Party, hash};
use bytes::Bytes;
use offhook_call_trace::{CALL_ID_HEADER, CallId};
use offhook_sip_message::header::{CSeq, Header, MaxForwards, RAck, RecordRoute};
use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, ParseError, StartLine, UriBuf};

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
    /// The same for the request that its RAck names.
    pub(super) rack_shift: u32,
    pub(super) credentials: Vec<(HeaderName<'static>, HeaderValue)>,
    /// The call id header that goes on; what the request brought is replaced.
    pub(super) call: Option<CallId>,
    /// Who is called, if a call begins.
    pub(super) called: Option<Party>,
    /// What the next hop may know.
    pub(super) disclosure: Disclosure,
    /// Record-Routes that stay; `None`: those that came.
    pub(super) recorded: Option<Vec<HeaderValue>>,
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
    /// The request that goes on, with our Via on top: host and port, and the branch.
    pub(super) fn apply(&self, request: &Message, sent_by: &str, branch: &str) -> Result<Bytes, ParseError> {
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
        if let Some(recorded) = &self.recorded {
            edit.remove(HeaderName::RecordRoute);
            let all = self.record_route.iter().chain(recorded);
            all.for_each(|value| edit.append(HeaderName::RecordRoute, value));
        } else if let Some(value) = &self.record_route {
            edit.prepend(HeaderName::RecordRoute, value);
        }
        self.disclosure.apply(request, &mut edit, self.call.is_some());
        if let Ok(via) = HeaderValue::new(["SIP/2.0/UDP ", sent_by, ";branch=", branch].concat()) {
            edit.prepend(HeaderName::Via, &via);
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
        edit.finish_within_limits()
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
            cseq.number = cseq.number.saturating_add(self.rack_shift);
            set(edit, HeaderName::RAck, &RAck { response, cseq });
        }
    }
}

fn set<'a>(edit: &mut Edit<'_>, name: HeaderName<'_>, header: &impl Header<'a>) {
    if let Ok(value) = header.to_value() {
        edit.replace(name, &value);
    }
}

/// How a response is changed on its way back.
#[derive(Debug)]
pub(super) struct Backward<'a> {
    /// The request as it came in.
    pub(super) request: &'a Message,
    pub(super) disclosure: Disclosure,
    /// The Record-Route of ours that the response has to have, above those of the request: what a callee leaves out or
    /// adds behind us would lead the caller astray.
    pub(super) record_route: Option<&'a HeaderValue>,
}

impl Backward<'_> {
    /// The response as the sender of the request wants it: without our Via, and with the CSeq and the From that it sent.
    /// `None` if no Via is left: then it was for us.
    pub(super) fn apply(&self, response: &Message) -> Option<Bytes> {
        response.values(HeaderName::Via).nth(1)?;
        let mut edit = Edit::new(response);
        edit.pop_values(HeaderName::Via, 1);
        for name in [HeaderName::CSeq, HeaderName::From] {
            let sent = self.request.first(name)?;
            if response.first(name) != Some(sent)
                && let Ok(value) = HeaderValue::unfold(sent)
            {
                edit.replace(name, &value);
            }
        }
        if let Some(own) = self.record_route {
            self.mend_record_route(response, own, &mut edit);
        }
        self.disclosure
            .apply(response, &mut edit, !self.disclosure.from_carrier);
        edit.finish_within_limits().ok()
    }

    fn mend_record_route(&self, response: &Message, own: &HeaderValue, edit: &mut Edit<'_>) {
        let name = HeaderName::RecordRoute;
        let count = response.values(name).count();
        let below = self.request.values(name);
        let expected = [own.as_bytes()].into_iter().chain(below);
        let due = 1 + self.request.values(name).count();
        let added = count.saturating_sub(due);
        if count >= due && response.values(name).skip(added).eq(expected) {
            return;
        }
        let behind_us = response.values(name).take_while(|value| !is_same_hop(value, own));
        let kept = behind_us.take(RECORD_ROUTES_MAX);
        let below = self.request.values(name);
        let mended: Vec<HeaderValue> = kept
            .chain([own.as_bytes()])
            .chain(below)
            .filter_map(|value| HeaderValue::unfold(value).ok())
            .collect();
        edit.remove(name);
        for value in &mended {
            edit.append(name, value);
        }
    }
}

/// Most hops behind us that are kept when a response's Record-Routes are mended.
const RECORD_ROUTES_MAX: usize = 16;

/// Whether both Record-Routes name the same hop, whatever their parameters.
fn is_same_hop(value: &[u8], own: &HeaderValue) -> bool {
    let hop = |value| {
        let RecordRoute(address) = RecordRoute::parse(value).ok()?;
        Some((
            address.uri.host().map(|host| host.to_string()),
            address.uri.port_or_default(),
        ))
    };
    hop(value) == hop(own.as_bytes())
}

/// What a request is routed by, as the end of our branch: when one of our own Vias carries the same, it went in a circle
/// (§16.3 step 4, §16.6 step 8).
pub(super) fn loop_mark(request: &Message) -> String {
    let uri: &[u8] = match request.start_line() {
        StartLine::Request { uri, .. } => uri,
        StartLine::Response { .. } => &[],
    };
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
