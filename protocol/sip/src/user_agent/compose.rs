//! How the user agent writes its messages.

use super::api::{ActionError, Body, Config, InvalidConfig, NameAddr, Reply};
use super::extensions::Extensions;
use super::session_timer::OwnLines;
use crate::extra_header::Header;
use crate::flow::Transport;
use offhook_sip_message::header::{self, Contact};
use offhook_sip_message::{
    HeaderName, HeaderValue, Host, Message, MessageBuilder, Method, StatusCode, Token, respond,
};

/// Methods that the user agent handles itself, whatever its owner can.
const OWN_METHODS: [Method; 5] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
];

/// What stands in many of our messages, made once.
#[derive(Debug)]
pub(super) struct Identity {
    sent_by: String,
    contact: HeaderValue,
    allow: HeaderValue,
    accept: HeaderValue,
    product: Option<HeaderValue>,
    /// Value of Supported, if there is any extension.
    supported: Option<HeaderValue>,
    tags: Vec<&'static str>,
    allowed: Vec<Method>,
    accepted: Vec<String>,
}

/// What comes after the fixed headers of a request.
#[derive(Debug, Default)]
pub(super) struct Rest<'a> {
    /// Credentials and what extensions add.
    pub(super) own: OwnLines,
    pub(super) sticky: &'a [Header],
    pub(super) headers: &'a [Header],
    pub(super) body: Option<&'a Body>,
}

impl Identity {
    pub(super) fn new(config: &Config, extensions: &Extensions) -> Result<Self, InvalidConfig> {
        Host::with_port(config.sent_by.as_bytes()).ok_or(InvalidConfig::SentBy)?;
        let text = |text: String| HeaderValue::new(text).map_err(|_| InvalidConfig::LineBreak);
        let mut allowed = OWN_METHODS.to_vec();
        for method in config.allow.iter().cloned().chain(extensions.methods()) {
            if !allowed.contains(&method) {
                allowed.push(method);
            }
        }
        let allow = allowed
            .iter()
            .map(Method::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let mut accepted = config.accept.clone();
        accepted.extend(extensions.media_types().iter().map(ToString::to_string));
        Ok(Self {
            sent_by: config.sent_by.clone(),
            contact: text(format!("<{}>", config.contact))?,
            allow: text(allow)?,
            accept: text(accepted.join(", "))?,
            product: if config.product.is_empty() {
                None
            } else {
                Some(text(config.product.clone())?)
            },
            supported: match extensions.tags().join(", ") {
                none if none.is_empty() => None,
                tags => Some(text(tags)?),
            },
            tags: extensions.tags(),
            allowed,
            accepted,
        })
    }

    pub(super) fn via(&self, transport: Transport, branch: &str) -> HeaderValue {
        let via = format!(
            "SIP/2.0/{} {};rport;branch={branch}",
            transport.via_name(),
            self.sent_by
        );
        HeaderValue::new(via).expect("sent-by was checked to be host and port")
    }

    pub(super) fn allows(&self, method: &Method) -> bool {
        self.allowed.contains(method)
    }

    /// Whether the body of a request can be read: none, of an accepted type and not encoded, or marked as optional.
    pub(super) fn accepts_body(&self, request: &Message) -> bool {
        if request.body().is_empty() {
            return true;
        }
        let optional = request
            .first(HeaderName::ContentDisposition)
            .is_some_and(|value| {
                String::from_utf8_lossy(value)
                    .to_ascii_lowercase()
                    .contains("handling=optional")
            });
        let encoded = request.has(HeaderName::ContentEncoding)
            && !request.lists(HeaderName::ContentEncoding, "identity");
        let Some(Ok(media)) = request.get::<header::ContentType<'_>>() else {
            return optional;
        };
        let accepted = self.accepted.iter().filter_map(|media| media.split_once('/'));
        optional
            || (!encoded
                && accepted
                    .into_iter()
                    .any(|(kind, subtype)| media.is(kind, subtype)))
    }

    /// The extensions that a request requires and we don't have, as they stand (§8.2.2.3).
    pub(super) fn unsupported<'m>(&self, request: &'m Message) -> impl Iterator<Item = &'m [u8]> {
        let known = |tag: &[u8]| {
            self.tags
                .iter()
                .any(|own| tag.eq_ignore_ascii_case(own.as_bytes()))
        };
        request.values(HeaderName::Require).filter(move |tag| !known(tag))
    }

    /// Ends a request. Contact and Allow go where they have a meaning (RFC 3261 table 2, RFC 3311).
    pub(super) fn finish(
        &self,
        mut builder: MessageBuilder,
        method: &Method,
        rest: Rest<'_>,
    ) -> Result<Message, ActionError> {
        if refreshes_target(method)
            || matches!(
                method,
                Method::Register | Method::Subscribe | Method::Options | Method::Refer | Method::Notify
            )
        {
            builder = builder.header(HeaderName::Contact, &self.contact);
        }
        if *method == Method::Invite {
            builder = builder.header(HeaderName::Allow, &self.allow);
        }
        if let Some(supported) = self.supported.as_ref().filter(|_| tells_extensions(method)) {
            builder = builder.header(HeaderName::Supported, supported);
        }
        self.finish_plain(builder, rest)
    }

    /// Ends a request whose Contact, if any, stands already.
    pub(super) fn finish_plain(
        &self,
        mut builder: MessageBuilder,
        rest: Rest<'_>,
    ) -> Result<Message, ActionError> {
        for (name, value) in &rest.own {
            builder = builder.header(*name, value);
        }
        if let Some(product) = &self.product {
            builder = builder.header(HeaderName::UserAgent, product);
        }
        builder = Header::add_all(rest.sticky, builder);
        builder = Header::add_all(rest.headers, builder);
        if let Some(body) = rest.body {
            builder = builder.body(&body.content_type, &body.bytes);
        }
        builder.build().map_err(|_| ActionError::Unwritable)
    }

    /// A response (§8.2.6); `tag` goes into a To that has none. Record-Route and Contact are there where a dialog is made
    /// or its target refreshed (§12.1.1).
    pub(super) fn response(
        &self,
        request: &Message,
        reply: &Reply,
        tag: &str,
        sticky: &[Header],
        own: &OwnLines,
    ) -> Result<Message, ActionError> {
        let method = request.method().ok_or(ActionError::Gone)?;
        let status = reply.status;
        let mut builder = respond(request, status, Token::new(tag.as_bytes()).ok());
        if let Some(reason) = &reply.reason {
            builder = with_reason(request, status, reason, tag);
        }
        let makes_dialog = *method == Method::Invite && status.code() > 100 && status.code() < 300;
        if makes_dialog {
            builder = builder.copy(request, HeaderName::RecordRoute);
        }
        if makes_dialog || (refreshes_target(method) && status.is_success()) {
            builder = builder.header(HeaderName::Contact, &self.contact);
        }
        let tells_abilities = *method == Method::Options || *method == Method::Invite;
        if status == StatusCode::METHOD_NOT_ALLOWED || (tells_abilities && status.is_success()) {
            builder = builder.header(HeaderName::Allow, &self.allow);
        }
        if let Some(supported) = self.supported.as_ref()
            && status.is_success()
            && tells_extensions(method)
        {
            builder = builder.header(HeaderName::Supported, supported);
        }
        let tells_media = *method == Method::Options && status.is_success();
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE || tells_media {
            builder = builder.header(HeaderName::Accept, &self.accept);
        }
        if status == StatusCode::BAD_EXTENSION {
            // What is no option tag at all cannot stand in a header: the status says enough.
            for tag in self.unsupported(request).filter(|tag| Token::new(tag).is_ok()) {
                builder = builder.text(HeaderName::Unsupported, tag);
            }
        }
        if let Some(product) = &self.product {
            builder = builder.header(HeaderName::Server, product);
        }
        for (name, value) in own {
            builder = builder.header(*name, value);
        }
        builder = Header::add_all(sticky, builder);
        builder = Header::add_all(&reply.headers, builder);
        if let Some(body) = &reply.body {
            builder = builder.body(&body.content_type, &body.bytes);
        }
        builder.build().map_err(|_| ActionError::Unwritable)
    }
}

/// Target refresh requests (§12.2.1.1, RFC 3311).
pub(super) fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}

/// Where Supported stands: in what starts or refreshes a session, and where abilities are asked for.
fn tells_extensions(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Options)
}

/// Like [`respond`] with a phrase of the owner's.
fn with_reason(request: &Message, status: StatusCode, reason: &HeaderValue, tag: &str) -> MessageBuilder {
    let to_has_tag = request
        .require::<header::To<'_>>()
        .is_ok_and(|to| to.tag().is_some());
    let mut builder = MessageBuilder::response_with_reason(status, reason)
        .copy(request, HeaderName::Via)
        .copy(request, HeaderName::From);
    builder = match request.first(HeaderName::To) {
        Some(to) if !to_has_tag => builder.text(
            HeaderName::To,
            [&*header::unfold(to), b";tag=", tag.as_bytes()].concat(),
        ),
        _ => builder.copy(request, HeaderName::To),
    };
    builder
        .copy(request, HeaderName::CallId)
        .copy(request, HeaderName::CSeq)
}

/// A value for From or To.
pub(super) fn name_addr(address: &NameAddr, tag: Option<&str>) -> Result<HeaderValue, ActionError> {
    let mut text = address.text();
    if let Some(tag) = tag {
        text.push_str(";tag=");
        text.push_str(tag);
    }
    HeaderValue::new(text).map_err(|_| ActionError::Unwritable)
}

/// A request outside of any dialog (§8.1.1): request line to CSeq.
pub(super) fn first_request(
    method: &Method,
    request_uri: &offhook_sip_message::Uri<'_>,
    via: &HeaderValue,
    ids: &FirstRequestIds<'_>,
) -> MessageBuilder {
    MessageBuilder::request(method, request_uri)
        .header(HeaderName::Via, via)
        .typed(&crate::transaction::MAX_FORWARDS)
        .header(HeaderName::From, ids.from)
        .header(HeaderName::To, ids.to)
        .text(HeaderName::CallId, ids.call_id)
        .typed(&header::CSeq {
            number: ids.cseq,
            method: method.clone(),
        })
}

/// What identifies a request outside of any dialog.
#[derive(Debug)]
pub(super) struct FirstRequestIds<'a> {
    pub(super) from: &'a HeaderValue,
    pub(super) to: &'a HeaderValue,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
}

/// Whether a message bears a Contact that can be a target.
pub(super) fn has_contact(message: &Message) -> bool {
    matches!(message.get::<Contact<'_>>(), Some(Ok(Contact::Address(_))))
}
