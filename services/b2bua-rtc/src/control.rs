//! Command handling: the front ends that signalling talks to, and the router between them and the media workers.

pub(crate) mod bencode;
mod json_rpc;
mod links;
mod ng;
pub(crate) mod ng_message;
mod router;
mod trace;

pub use links::{CommandRequest, LocalLink};

pub(crate) use json_rpc::serve as serve_json_rpc;
pub(crate) use links::Links;
pub(crate) use ng::serve as serve_ng;
pub(crate) use router::{Router, RouterConfig};
