//! Messages of the `ng` protocol as values: what of them this gateway understands.

use super::bencode::{BencodeError, Value};
use crate::params::LegKind;
use offhook_offer_answer::Codec;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Is anybody there?
    Ping,
    /// A call begins, or begins anew.
    Offer(Offer),
    /// The other side has answered.
    Answer(Answer),
    /// A call is over.
    Delete {
        /// `call-id`
        call_id: String,
        /// The flag `fatal`: a call that is not known is an error, not a warning.
        fatal: bool,
    },
}

/// `offer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// `call-id`
    pub call_id: String,
    /// `from-tag`
    pub from_tag: String,
    /// `to-tag` is there: the offer is one of a dialog. Without it, it goes to somebody who has not been offered yet.
    pub in_dialog: bool,
    /// `sdp`
    pub sdp: String,
    /// `transport-protocol` for the other side; `None`: as the offer has it.
    pub transport: Option<LegKind>,
    /// `codec.mask` and `codec.strip`: not to be offered to the other side.
    pub masked: Vec<String>,
    /// `codec.transcode`: to be offered beside.
    pub transcode: Vec<Codec>,
}

/// `answer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `call-id`
    pub call_id: String,
    /// `sdp`
    pub sdp: String,
}

/// Why a request is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No space after the cookie, or the cookie is too long.
    #[error("a request begins with a cookie and a space")]
    NoCookie,
    /// The dictionary cannot be read.
    #[error("not bencode: {0}")]
    Bencode(#[from] BencodeError),
    /// A key that the command needs.
    #[error("the key {0} is missing")]
    Missing(&'static str),
    /// A command that this gateway does not know.
    #[error("the command {0:?} is not known; ping, offer, answer and delete are")]
    UnknownCommand(String),
    /// A transport that this gateway does not speak.
    #[error("the transport {0:?} is not spoken; RTP/AVP and UDP/TLS/RTP/SAVPF are")]
    UnknownTransport(String),
}

/// Longest cookie, in bytes: clients use about 20.
const COOKIE_LEN_MAX: usize = 64;
/// Formats of a media section that are looked at: as many as there are payload types.
const FORMATS_MAX: usize = 128;

/// Splits a datagram into cookie and message.
pub fn split(datagram: &[u8]) -> Result<(&[u8], &[u8]), RequestError> {
    let space = datagram
        .iter()
        .take(COOKIE_LEN_MAX + 1)
        .position(|byte| *byte == b' ');
    match space {
        Some(at) if at > 0 => Ok((&datagram[..at], &datagram[at + 1..])),
        _ => Err(RequestError::NoCookie),
    }
}

/// Reads a message.
pub fn read(message: &[u8]) -> Result<Request, RequestError> {
    let value = Value::decode(message)?;
    match text(&value, "command")?.as_str() {
        "ping" => Ok(Request::Ping),
        "offer" => Ok(Request::Offer(Offer {
            call_id: text(&value, "call-id")?,
            from_tag: text(&value, "from-tag")?,
            in_dialog: value.get("to-tag").is_some(),
            sdp: text(&value, "sdp")?,
            transport: transport(&value)?,
            masked: ["mask", "strip"]
                .iter()
                .flat_map(|key| codec_names(&value, key))
                .collect(),
            transcode: codec_names(&value, "transcode")
                .filter_map(|name| codec_of(&name))
                .collect(),
        })),
        "answer" => Ok(Request::Answer(Answer {
            call_id: text(&value, "call-id")?,
            sdp: text(&value, "sdp")?,
        })),
        "delete" => Ok(Request::Delete {
            call_id: text(&value, "call-id")?,
            fatal: value
                .get("flags")
                .is_some_and(|flags| flags.texts().any(|flag| flag == "fatal")),
        }),
        other => Err(RequestError::UnknownCommand(other.chars().take(32).collect())),
    }
}

/// Codecs that are offered to the other side: those of the offer without the masked ones, and those to transcode to.
pub fn offered_codecs(offer: &Offer) -> Option<Vec<Codec>> {
    let masks = |codec: &Codec| {
        offer
            .masked
            .iter()
            .any(|name| name == "all" || name.eq_ignore_ascii_case(codec.encoding_name()))
    };
    let mut codecs: Vec<Codec> = codecs_in(&offer.sdp)
        .into_iter()
        .filter(|codec| !masks(codec))
        .collect();
    for codec in &offer.transcode {
        if !codecs.contains(codec) {
            codecs.push(*codec);
        }
    }
    (!codecs.is_empty()).then_some(codecs)
}

/// What the offering side speaks, by the transport of its first audio section.
pub fn kind_of(sdp: &str) -> Result<LegKind, RequestError> {
    let line = sdp.lines().find(|line| line.starts_with("m=audio "));
    let protocol = line
        .and_then(|line| line.split_ascii_whitespace().nth(2))
        .unwrap_or("RTP/AVP");
    kind_of_transport(protocol)
}

/// A response.
pub(super) fn respond(cookie: &[u8], fields: Value) -> Vec<u8> {
    let mut out = cookie.to_vec();
    out.push(b' ');
    fields.encode(&mut out);
    out
}

/// The fields of a response that something went wrong.
pub(super) fn error(reason: &str) -> Value {
    Value::dictionary([
        ("result", Value::text("error")),
        ("error-reason", Value::text(reason)),
    ])
}

/// The fields of a response with an SDP, or without.
pub(super) fn ok(sdp: Option<String>) -> Value {
    let result = ("result", Value::text("ok"));
    Value::dictionary(
        [result]
            .into_iter()
            .chain(sdp.map(|sdp| ("sdp", Value::text(sdp)))),
    )
}

/// The fields of a response that all is as it was asked for, though not by this request.
pub(super) fn ok_but(warning: &str) -> Value {
    Value::dictionary([("result", Value::text("ok")), ("warning", Value::text(warning))])
}

fn text(value: &Value, key: &'static str) -> Result<String, RequestError> {
    value
        .get(key)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or(RequestError::Missing(key))
}

fn transport(value: &Value) -> Result<Option<LegKind>, RequestError> {
    value
        .get("transport-protocol")
        .and_then(Value::as_str)
        .map(kind_of_transport)
        .transpose()
}

fn kind_of_transport(protocol: &str) -> Result<LegKind, RequestError> {
    match protocol.to_ascii_uppercase().as_str() {
        "RTP/AVP" | "RTP/AVPF" => Ok(LegKind::Rtp),
        "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" => Ok(LegKind::WebRtc),
        other => Err(RequestError::UnknownTransport(other.chars().take(32).collect())),
    }
}

fn codec_names(value: &Value, key: &str) -> impl Iterator<Item = String> {
    let names = value.get("codec").and_then(|codec| codec.get(key));
    names
        .map(|names| names.texts().map(str::to_owned).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
}

fn codec_of(name: &str) -> Option<Codec> {
    // Names may carry rate and parameters: `opus/48000/2`.
    let name = name.split('/').next().unwrap_or(name);
    Codec::ALL
        .into_iter()
        .find(|codec| codec.encoding_name().eq_ignore_ascii_case(name))
}

/// Our codecs among those of a description, in its order. Only a preference: the description itself is read, and
/// judged, by the session.
fn codecs_in(sdp: &str) -> Vec<Codec> {
    let line = sdp
        .lines()
        .find(|line| line.starts_with("m=audio "))
        .unwrap_or_default();
    let mut codecs = Vec::new();
    for payload_type in line.split_ascii_whitespace().skip(3).take(FORMATS_MAX) {
        let map = sdp.lines().find_map(|line| {
            let (number, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            (number == payload_type).then(|| name.trim())
        });
        let codec = match (map, payload_type) {
            (Some(name), _) => codec_of(name),
            (None, "0") => Some(Codec::Pcmu),
            (None, "8") => Some(Codec::Pcma),
            _ => None,
        };
        codecs.extend(codec.filter(|codec| !codecs.contains(codec)));
    }
    codecs
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 8 0 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";

    fn offer(extra: Vec<(&str, Value)>) -> Result<Request, RequestError> {
        let mut entries = vec![
            ("command", Value::text("offer")),
            ("call-id", Value::text("c1")),
            ("from-tag", Value::text("f1")),
            ("sdp", Value::text(SDP)),
        ];
        entries.extend(extra);
        let mut bytes = Vec::new();
        Value::dictionary(entries).encode(&mut bytes);
        read(&bytes)
    }

    #[test]
    fn an_offer_with_its_flags() {
        let list = |name: &str| Value::List(vec![Value::text(name)]);
        let codec = Value::dictionary([("mask", list("opus")), ("transcode", list("PCMU/8000"))]);
        let Ok(Request::Offer(offer)) = offer(vec![
            ("transport-protocol", Value::text("RTP/AVP")),
            ("codec", codec),
        ]) else {
            panic!("no offer");
        };
        assert_eq!(offer.transport, Some(LegKind::Rtp));
        assert_eq!(kind_of(&offer.sdp), Ok(LegKind::WebRtc));
        assert_eq!(offered_codecs(&offer), Some(vec![Codec::Pcma, Codec::Pcmu]));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert_eq!(
            offer(vec![("transport-protocol", Value::text("RTP/SAVP"))]),
            Err(RequestError::UnknownTransport("RTP/SAVP".to_owned()))
        );
        assert_eq!(
            read(b"d7:command4:fly!e"),
            Err(RequestError::UnknownCommand("fly!".to_owned()))
        );
        assert_eq!(
            read(b"d7:command6:deletee"),
            Err(RequestError::Missing("call-id"))
        );
        assert_eq!(
            read(b"d7:command6:delete7:call-id1:c5:flagsl5:fatalee"),
            Ok(Request::Delete {
                call_id: "c".to_owned(),
                fatal: true
            })
        );
        assert!(matches!(read(b"x"), Err(RequestError::Bencode(_))));
        assert_eq!(split(b"nospace"), Err(RequestError::NoCookie));
        assert_eq!(split(b" d"), Err(RequestError::NoCookie));
        assert_eq!(split(b"abc d"), Ok((&b"abc"[..], &b"d"[..])));
    }
}
