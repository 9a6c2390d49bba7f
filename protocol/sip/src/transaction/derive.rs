//! Requests that the layer makes out of others: ACK to a rejection, CANCEL, and answers of its own.

use crate::extra_header::Header;
use bytes::Bytes;
use offhook_sip_message::header::{CSeq, MaxForwards, Via};
use offhook_sip_message::{HeaderName, Message, MessageBuilder, Method};

/// Hops that an own request may take (RFC 3261 §8.1.1.6).
pub(crate) const MAX_FORWARDS: MaxForwards = MaxForwards(70);

/// The ACK to a 300-699 (§17.1.1.3); `None` if the response's To is so large that no message can hold it.
pub(super) fn ack_of_rejection(request: &Message, response: &Message) -> Option<Bytes> {
    let builder = hop_by_hop(request, Method::Ack)?.copy(response, HeaderName::To);
    builder.build().ok().map(|ack| ack.bytes().clone())
}

/// The CANCEL of an INVITE (§9.1), with `extra` lines.
pub(super) fn cancel_of(request: &Message, extra: &[Header]) -> Option<Message> {
    let builder = hop_by_hop(request, Method::Cancel)?.copy(request, HeaderName::To);
    Header::add_all(extra, builder).build().ok()
}

/// What ACK and CANCEL share: the request's URI, Via of this hop, Route, From, Call-ID and CSeq number.
fn hop_by_hop(request: &Message, method: Method) -> Option<MessageBuilder> {
    let uri = request.request_uri()?.ok()?;
    let via: Via<'_> = request.require().ok()?;
    let CSeq { number, .. } = request.require().ok()?;
    let builder = MessageBuilder::request(&method, &uri)
        .typed(&via)
        .typed(&MAX_FORWARDS)
        .copy(request, HeaderName::Route)
        .copy(request, HeaderName::From)
        .copy(request, HeaderName::CallId)
        .typed(&CSeq { number, method });
    Some(builder)
}
