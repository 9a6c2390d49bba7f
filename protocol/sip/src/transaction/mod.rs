//! Transactions (RFC 3261 §17, RFC 6026): a file per state machine, and the layer that owns them all.

mod client;
mod event;
mod invite_client;
mod invite_server;
mod key;
mod layer;
mod server;

pub use event::{
    ClientTransactionId, Counts, Event, Output, ServerTransactionId, Transmit, TransactionId,
};
pub use layer::{CancelError, Config, RespondError, SendError, SendOptions, TRANSACTIONS_MAX, TransactionLayer};
