//! Answers to a request (RFC 3261 §8.2.6).

use crate::StatusCode;
use crate::builder::MessageBuilder;
use crate::message::Message;
use crate::name::{HeaderName, Token};

/// Starts a response: Via, From, To, Call-ID and CSeq come from the request byte for byte, Timestamp too in a 100
/// (§8.2.6.1). `to_tag` is added to a To without a tag, never to a 100's (§8.2.6.2). A dialog's Record-Route and
/// Contact are the caller's matter.
pub fn respond(request: &Message, status: StatusCode, to_tag: Option<Token<'_>>) -> MessageBuilder {
    let mut builder = MessageBuilder::response(status)
        .copy(request, HeaderName::Via)
        .copy(request, HeaderName::From);
    let new_tag = to_tag.filter(|_| status != StatusCode::TRYING);
    let untagged = request
        .first(HeaderName::To)
        .filter(|_| request.to_tag().is_none());
    builder = match (new_tag, untagged) {
        (Some(tag), Some(to)) => {
            let value = [to, b";tag=", tag.as_bytes()].concat();
            builder.push_line(HeaderName::To, &value);
            builder
        }
        _ => builder.copy(request, HeaderName::To),
    };
    builder = builder
        .copy(request, HeaderName::CallId)
        .copy(request, HeaderName::CSeq);
    if status == StatusCode::TRYING {
        builder = builder.copy(request, HeaderName::Timestamp);
    }
    builder
}
