//! Transactions (RFC 3261 §17, RFC 6026): a file per state machine, and the layer that owns them all.

mod action;
mod client;
mod derive;
mod event;
mod invite_client;
mod invite_server;
mod key;
mod layer;
mod receive;
mod server;

pub(crate) use derive::MAX_FORWARDS;
pub use event::{ClientTransactionId, Counts, Event, Output, ServerTransactionId, TransactionId, Transmit};
pub use layer::{
    Config, NothingToCancel, Outgoing, RespondError, SendError, SendOptions, TRANSACTIONS_MAX,
    TransactionLayer,
};
