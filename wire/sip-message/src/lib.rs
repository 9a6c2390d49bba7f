//! SIP messages: bytes to values and back, without loss (RFC 3261).
//!
//! A [`Message`] is one buffer and an index of its header lines. Reading it costs one pass that looks for line ends
//! and colons; nothing else is parsed until it is asked for, and nothing is copied. What is not edited goes out byte
//! for byte as it came in, in whatever encoding the sender used.
//!
//! ```
//! use offhook_sip_message::{Edit, HeaderName, HeaderValue, Message, header::Via};
//!
//! let message = Message::parse(
//!     "OPTIONS sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\r\n".into(),
//! )?;
//! let via: Via<'_> = message.require()?;
//! assert_eq!(via.branch(), Some(&b"z9hG4bK1"[..]));
//!
//! let mut edit = Edit::new(&message);
//! edit.prepend(HeaderName::Via, &HeaderValue::new("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2")?);
//! let forwarded = edit.finish();
//! assert!(forwarded.ends_with(b"v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - Reading: [`Message`], typed headers in [`header`], addresses in [`Uri`].
//! - Writing: [`Edit`] for changes to a received message, [`MessageBuilder`] for new ones, [`respond`] for answers. Text
//!   enters a message only as a [`HeaderValue`], a [`HeaderName`] or a [`UriBuf`], each of which refuses line breaks.
//! - Checking: [`validate`] for the rules a receiver has to enforce, with the status that fits each breach.
//! - Streams: [`framing::Framer`] cuts messages out of a TCP stream.

mod builder;
mod chars;
mod edit;
pub mod framing;
pub mod header;
mod host;
mod index;
pub mod limits;
mod message;
mod method;
mod name;
mod params;
mod respond;
mod status;
mod uri;
mod validate;
mod value;

pub use builder::{BuildError, MessageBuilder};
pub use edit::Edit;
pub use host::Host;
pub use message::{HeaderLine, Message, ParseError, StartLine};
pub use method::Method;
pub use name::{HeaderName, InvalidName, Token};
pub use params::{ParamWriter, Params};
pub use respond::respond;
pub use status::{InvalidStatus, StatusCode};
pub use uri::{InvalidUri, Scheme, Uri, UriBuf, UriBuilder};
pub use validate::{Defect, validate, validate_beyond_via};
pub use value::{HeaderValue, InvalidValue};
