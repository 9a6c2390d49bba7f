//! The media gateway: WebRTC (ICE, DTLS-SRTP) ↔ plain RTP. Codecs, DTMF, reports, quality. It never speaks SIP.
//!
//! ```text
//!   run ──► control front ends: local channel, JSON-RPC over WebSocket, ng
//!    │            │ commands          ▲ events
//!    │            ▼                   │
//!    └──► media workers (threads): sockets ─► session ─► sockets
//! ```
//!
//! [`session`], its legs and [`stream`] are pure: datagrams, commands and the time in, datagrams and events out. The
//! worker in `media` owns the sockets, the clock and the memory; a session lives wholly on one worker.

pub mod config;
mod control;
mod early_packets;
mod leg;
mod media;
pub mod ng;
pub mod outbox;
pub mod params;
mod rtp_leg;
mod run;
pub mod session;
pub mod stream;
pub mod tones;
mod webrtc_leg;

pub use config::Config;
pub use control::{CommandRequest, LocalLink};
pub use leg::{Discard, Lane};
pub use run::{Error, ROLE, run};
