//! Requests of the `ng` protocol, apart from their socket: bytes in, values out.

pub use crate::control::bencode::BencodeError;
pub use crate::control::ng_message::{
    Answer, Offer, Request, RequestError, kind_of, offered_codecs, read, split,
};
