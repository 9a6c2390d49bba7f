//! Voice SDK Proxy: client sessions and their calls, JSON-RPC on the WebSocket ↔ SIP.
//!
//! The core, [`Server`], is sans-IO: it owns all sockets, sessions and calls, speaks the client dialect
//! (`offhook-rpc-message`), SIP (`offhook-sip`) and the control link (`offhook-media-control`), and never looks inside
//! an SDP. [`run`] puts it on sockets.

pub mod auth;
mod call;
pub mod config;
mod deadlines;
mod incoming;
pub mod limits;
mod output;
pub mod run;
mod server;
mod session;
mod settings;
pub mod translate;
pub mod uploads;

pub use call::CallState;
pub use output::{
    AskToken, CallRecord, CallStage, CallView, CloseReason, ConnectionId, Counts, Departure, EndedBy,
    MediaToken, Note, Output, Peer, Rejection, SessionView, TransferWay,
};
pub use server::{Server, SessionExists};
pub use session::SessionState;
pub use settings::{AnonymousTarget, FarTransfers, Registrar, Settings, SipSettings, TransferSettings, User};
