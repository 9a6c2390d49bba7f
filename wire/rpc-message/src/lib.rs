//! The client dialect: what a browser SDK and the Voice SDK Proxy say to each other on the WebSocket.
//!
//! JSON-RPC 2.0, one object per text frame. [`decode`] takes what a client sends, leniently, into the closed set
//! [`ClientMethod`]; [`ServerMessage`], [`ResultBody`] and [`RpcError`] are all that a server sends, shaped exactly as
//! the SDKs expect. Values that later stand in a SIP message pass [`validate`] first.

mod decode;
mod error;
mod id;
mod lenient;
mod method;
mod params;
mod result;
mod server;
pub mod validate;

pub use decode::{ClientFrame, DebugReport, Malformed, SpeedTest, decode};
pub use error::{ErrorCode, RpcError};
pub use id::{ClientCallId, FrameId, SessionId, VoiceSdkId};
pub use method::{
    AnonymousLogin, Answer, Bye, Candidate, ClientMethod, DialogParams, Info, Invite, Login, Modify,
    ModifyAction, RawHeader,
};
pub use result::{GatewayState, GatewayStatus, HoldState, ResultBody};
pub use server::{ByeMessage, CallIds, Party, ServerMessage};

/// Longest text frame in bytes. An invite has 3 to 6 kB; statistics frames of a debug session tens of kB.
pub const FRAME_LEN_MAX: usize = 1024 * 1024;
/// Deepest nesting of arrays and objects. The deepest real frames (statistics) have about ten levels.
pub const DEPTH_MAX: usize = 64;
/// Longest frame id as JSON text, in bytes. SDKs send UUIDs and integers.
pub const ID_LEN_MAX: usize = 128;
/// Longest `callID` in bytes: a UUID and room for ids that an application makes up.
pub const CALL_ID_LEN_MAX: usize = 128;
/// Longest `method` that is echoed in an error, in bytes.
pub const METHOD_LEN_MAX: usize = 64;
/// Most `custom_headers` of one request that are read; the SDK repeats all headers of a call in its `bye`.
pub const CUSTOM_HEADERS_MAX: usize = 64;
/// Most channels that one subscribe or unsubscribe names.
pub const CHANNELS_MAX: usize = 64;
/// Longest name of a channel in bytes; longer ones are left out, for all are echoed.
pub const CHANNEL_LEN_MAX: usize = 256;
