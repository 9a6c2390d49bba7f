//! The transaction layer: finds the transaction of each message, owns them all, bounds them.

use super::event::{ClientTransactionId, Counts, Output, ServerTransactionId};
use crate::flow::Flow;
use crate::timer::Timing;
use bytes::Bytes;
use offhook_sip_message::Message;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// Most transactions at a time in each direction: 100,000 at about 2 KiB each is what a node may spend on signaling.
/// Over it, requests are answered with 503 and Retry-After, and own requests fail with [`SendError::Full`].
pub const TRANSACTIONS_MAX: usize = 100_000;

/// Settings of a layer.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// T1, T2, T4.
    pub timing: Timing,
}

/// Settings of one client transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendOptions {
    /// Give up (event `TimedOut`) when not even a provisional response came in this time; `None` means 64 × T1.
    /// For failing over to the next carrier before the caller loses patience.
    pub give_up_after: Option<Duration>,
}

/// Why a request could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`TRANSACTIONS_MAX`] client transactions exist.
    #[error("too many SIP transactions are open ({max}); try again later", max = TRANSACTIONS_MAX)]
    Full,
    /// The message is no request, is an ACK, or has no usable top Via or CSeq.
    #[error("only a request with Via (branch z9hG4bK…) and CSeq, and no ACK, can start a transaction")]
    NoRequest,
    /// A transaction with this branch and method exists.
    #[error("a transaction with the same branch and method exists; make a new branch")]
    BranchInUse,
}

/// Why a response could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The transaction is over.
    #[error("the server transaction is over")]
    Gone,
    /// The message is no response, or its class is not allowed in the transaction's state.
    #[error("the transaction was finally answered before, or the message is no response")]
    NotAllowed,
}

/// Why an INVITE could not be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// The transaction is over, has a final answer, or is no INVITE.
    #[error("nothing to cancel: the INVITE is finally answered or over")]
    Gone,
}

/// All transactions of one SIP element. See the [crate] documentation for how to drive it.
#[derive(Debug)]
pub struct TransactionLayer {}

impl TransactionLayer {
    /// A layer without transactions. `rng` is for branches and tags.
    pub fn new(config: Config, rng: StdRng) -> Self {
        todo!()
    }

    /// Takes a datagram. What is no SIP message is counted and dropped.
    pub fn handle_datagram(&mut self, now: Instant, source: Flow, datagram: Bytes) {
        todo!()
    }

    /// Takes a message that came from `source`.
    pub fn handle_message(&mut self, now: Instant, source: Flow, message: Message) {
        todo!()
    }

    /// The transport could not send to `flow`: ends the client transactions that still wait for something there.
    /// O(number of transactions); errors are rare.
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        todo!()
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// When [`Self::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Sends a request in a client transaction of its own. Its top Via must be ours, with a branch of [`Self::branch`].
    pub fn send_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        options: SendOptions,
    ) -> Result<ClientTransactionId, SendError> {
        todo!()
    }

    /// Sends a message outside of any transaction: an ACK to a 2xx, or what a proxy forwards statelessly.
    pub fn send_stateless(&mut self, flow: Flow, bytes: Bytes) {
        todo!()
    }

    /// Answers a request. The response goes where RFC 3261 §18.2.2 and RFC 3581 say.
    pub fn respond(
        &mut self,
        now: Instant,
        transaction: ServerTransactionId,
        response: Message,
    ) -> Result<(), RespondError> {
        todo!()
    }

    /// Cancels an INVITE: at once if a provisional response came, otherwise as soon as one comes (RFC 3261 §9.1).
    /// `extra` header lines (Reason) go into the CANCEL. Without a final response 64 × T1 later, the INVITE times out.
    pub fn cancel(
        &mut self,
        now: Instant,
        invite: ClientTransactionId,
        extra: &[crate::Header],
    ) -> Result<(), CancelError> {
        todo!()
    }

    /// The request of a server transaction that still exists: to build a response from.
    pub fn request(&self, transaction: ServerTransactionId) -> Option<&Message> {
        todo!()
    }

    /// A new branch for Via: the magic cookie and 96 random bits.
    pub fn branch(&mut self) -> String {
        todo!()
    }

    /// A new tag for From or To: 64 random bits.
    pub fn tag(&mut self) -> String {
        todo!()
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        todo!()
    }
}
