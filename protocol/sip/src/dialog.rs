//! Dialogs (RFC 3261 §12) as plain data: what both ends of a call use to address each other.

use crate::flow::Flow;
use crate::locate;
use crate::transaction::MAX_FORWARDS;
use bytes::Bytes;
use offhook_sip_message::header::{CSeq, CallId, Contact, From, Header, NameAddr, RecordRoute, To};
use offhook_sip_message::{HeaderName, HeaderValue, Message, MessageBuilder, Method, Uri, UriBuf};

/// Most proxies in a route set; a longer one comes from a loop or an attack and would not fit a datagram.
pub const ROUTES_MAX: usize = 32;

/// What tells dialogs apart (§12): Call-ID and both tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialogId {
    /// Call-ID.
    pub call_id: Bytes,
    /// Our tag.
    pub local_tag: Bytes,
    /// The other side's tag; empty for peers of RFC 2543 that set none.
    pub remote_tag: Bytes,
}

impl DialogId {
    /// The dialog that a received request belongs to: our tag stands in To. `None` without a tag there.
    pub fn of_request(request: &Message) -> Option<Self> {
        let to: To<'_> = request.require().ok()?;
        let from: From<'_> = request.require().ok()?;
        let call_id: CallId<'_> = request.require().ok()?;
        Some(Self {
            call_id: Bytes::copy_from_slice(call_id.0),
            local_tag: Bytes::copy_from_slice(to.tag()?),
            remote_tag: Bytes::copy_from_slice(from.tag().unwrap_or_default()),
        })
    }

    /// The dialog that a received response belongs to: our tag stands in From.
    pub fn of_response(response: &Message) -> Option<Self> {
        let to: To<'_> = response.require().ok()?;
        let from: From<'_> = response.require().ok()?;
        let call_id: CallId<'_> = response.require().ok()?;
        Some(Self {
            call_id: Bytes::copy_from_slice(call_id.0),
            local_tag: Bytes::copy_from_slice(from.tag()?),
            remote_tag: Bytes::copy_from_slice(to.tag().unwrap_or_default()),
        })
    }
}

/// Whether the dialog stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogState {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// Why no dialog could be made of a message, or a request did not fit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header that dialogs are made of is missing or malformed.
    #[error("the message lacks a usable {0}")]
    Header(&'static str),
    /// More than [`ROUTES_MAX`] Record-Route values.
    #[error("more than {max} proxies in Record-Route", max = ROUTES_MAX)]
    TooManyRoutes,
    /// CSeq is not above that of the request before (§12.2.2).
    #[error("CSeq {number} came after {last}")]
    OutOfOrder {
        /// What came.
        number: u32,
        /// The highest so far.
        last: u32,
    },
}

/// A dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// Call-ID and tags.
    pub id: DialogId,
    /// Early or confirmed.
    pub state: DialogState,
    /// Our name-addr with tag, for From of our requests.
    pub local: HeaderValue,
    /// The other side's name-addr with tag, for To of our requests.
    pub remote: HeaderValue,
    /// CSeq number of our last request.
    pub local_cseq: u32,
    /// CSeq number of the other side's last request, once there was one.
    pub remote_cseq: Option<u32>,
    /// The proxies to pass, nearest first, as they stood in Record-Route.
    pub route_set: Vec<HeaderValue>,
    /// Contact of the other side.
    pub remote_target: UriBuf,
}

impl Dialog {
    /// The caller's dialog (§12.1.2): our `request` was answered with a tagged 1xx or a 2xx.
    pub fn of_caller(request: &Message, response: &Message) -> Result<Self, DialogError> {
        let id = DialogId::of_response(response).ok_or(DialogError::Header("From, To or Call-ID"))?;
        let CSeq { number, .. } = request.require().map_err(|_| DialogError::Header("CSeq"))?;
        let mut dialog = Self {
            id,
            state: DialogState::Early,
            local: value(request, HeaderName::From, "From")?,
            remote: value(response, HeaderName::To, "To")?,
            local_cseq: number,
            remote_cseq: None,
            route_set: Vec::new(),
            // Carriers leave Contact out of provisional responses; then the request's own target stands.
            remote_target: contact(response)
                .or_else(|| request_target(request))
                .ok_or(DialogError::Header("Contact"))?,
        };
        dialog.handle_response(response)?;
        Ok(dialog)
    }

    /// The callee's dialog (§12.1.1): `request` came in and will be answered with `local_tag`.
    pub fn of_callee(request: &Message, local_tag: &str) -> Result<Self, DialogError> {
        let from: From<'_> = request.require().map_err(|_| DialogError::Header("From"))?;
        let call_id: CallId<'_> = request.require().map_err(|_| DialogError::Header("Call-ID"))?;
        let CSeq { number, .. } = request.require().map_err(|_| DialogError::Header("CSeq"))?;
        let to = value(request, HeaderName::To, "To")?;
        let local = [to.as_bytes(), b";tag=", local_tag.as_bytes()].concat();
        let id = DialogId {
            call_id: Bytes::copy_from_slice(call_id.0),
            local_tag: Bytes::copy_from_slice(local_tag.as_bytes()),
            remote_tag: Bytes::copy_from_slice(from.tag().unwrap_or_default()),
        };
        Ok(Self {
            id,
            state: DialogState::Early,
            local: HeaderValue::new(local).map_err(|_| DialogError::Header("To"))?,
            remote: value(request, HeaderName::From, "From")?,
            local_cseq: 0,
            remote_cseq: Some(number),
            route_set: record_route(request)?,
            remote_target: contact(request).ok_or(DialogError::Header("Contact"))?,
        })
    }

    /// The caller's dialog takes over route set and target of a later response to the INVITE that made it (§13.2.2.4).
    pub fn handle_response(&mut self, response: &Message) -> Result<(), DialogError> {
        let mut route_set = record_route(response)?;
        route_set.reverse();
        self.route_set = route_set;
        self.refresh_target(response);
        if response.status().is_some_and(|status| status.is_success()) {
            self.state = DialogState::Confirmed;
        }
        Ok(())
    }

    /// The other side's Contact in a target refresh request or the 2xx to one of ours (§12.2).
    pub fn refresh_target(&mut self, message: &Message) {
        if let Some(target) = contact(message) {
            self.remote_target = target;
        }
    }

    /// Checks and notes the CSeq of a request of the other side (§12.2.2).
    pub fn handle_cseq(&mut self, number: u32) -> Result<(), DialogError> {
        match self.remote_cseq {
            Some(last) if number <= last => Err(DialogError::OutOfOrder { number, last }),
            _ => {
                self.remote_cseq = Some(number);
                Ok(())
            }
        }
    }

    /// Starts a request within the dialog, with the next CSeq: request line, the given Via, Max-Forwards, Route, From, To,
    /// Call-ID, CSeq (§12.2.1.1). The rest is the caller's.
    pub fn next_request(&mut self, method: &Method, via: &HeaderValue) -> MessageBuilder {
        self.local_cseq += 1;
        self.request(method, self.local_cseq, via)
    }

    /// The same for a given CSeq number: the ACK to a 2xx repeats that of its INVITE (§13.2.2.4).
    pub fn request(&self, method: &Method, cseq: u32, via: &HeaderValue) -> MessageBuilder {
        let target = self.remote_target.uri();
        let strict = self.first_route().filter(|uri| !uri.is_loose_router());
        let mut builder = MessageBuilder::request(method, &strict.unwrap_or(target))
            .header(HeaderName::Via, via)
            .typed(&MAX_FORWARDS);
        for route in self.route_set.iter().skip(usize::from(strict.is_some())) {
            builder = builder.header(HeaderName::Route, route);
        }
        if strict.is_some() {
            // A strict router finds the target as the last Route (RFC 2543).
            builder = builder.typed(&offhook_sip_message::header::Route(NameAddr::new(target)));
        }
        builder
            .header(HeaderName::From, &self.local)
            .header(HeaderName::To, &self.remote)
            .text(HeaderName::CallId, &self.id.call_id)
            .typed(&CSeq {
                number: cseq,
                method: method.clone(),
            })
    }

    /// Where requests within the dialog go first: the first route, else the remote target. `None` if that is a name.
    pub fn next_hop(&self) -> Option<Flow> {
        locate::request_flow(&self.first_route().unwrap_or(self.remote_target.uri()))
    }

    fn first_route(&self) -> Option<Uri<'_>> {
        Some(RecordRoute::parse(self.route_set.first()?.as_bytes()).ok()?.uri)
    }
}

fn value(
    message: &Message,
    name: HeaderName<'static>,
    called: &'static str,
) -> Result<HeaderValue, DialogError> {
    let raw = message.first(name).ok_or(DialogError::Header(called))?;
    HeaderValue::unfold(raw).map_err(|_| DialogError::Header(called))
}

fn contact(message: &Message) -> Option<UriBuf> {
    let contact = message.get::<Contact<'_>>()?.ok()?;
    contact.address().map(|address| address.uri.to_buf())
}

fn request_target(request: &Message) -> Option<UriBuf> {
    Some(request.request_uri()?.ok()?.to_buf())
}

/// Record-Route as it stands, each value checked so that it can be relied on later.
fn record_route(message: &Message) -> Result<Vec<HeaderValue>, DialogError> {
    let mut routes = Vec::new();
    for raw in message.values(HeaderName::RecordRoute) {
        if routes.len() == ROUTES_MAX {
            return Err(DialogError::TooManyRoutes);
        }
        let route = HeaderValue::unfold(raw).map_err(|_| DialogError::Header("Record-Route"))?;
        RecordRoute::parse(route.as_bytes()).map_err(|_| DialogError::Header("Record-Route"))?;
        routes.push(route);
    }
    Ok(routes)
}
