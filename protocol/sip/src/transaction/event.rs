//! What goes in and out of the transaction layer.

use crate::flow::Flow;
use bytes::Bytes;
use offhook_sip_message::Message;

/// A client transaction: a request that we sent and wait for. Never reused by one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTransactionId(pub(crate) u64);

/// A server transaction: a request that we received and answer. Never reused by one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerTransactionId(pub(crate) u64);

/// Either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransactionId {
    /// We sent the request.
    Client(ClientTransactionId),
    /// We received the request.
    Server(ServerTransactionId),
}

impl From<ClientTransactionId> for TransactionId {
    fn from(id: ClientTransactionId) -> Self {
        Self::Client(id)
    }
}

impl From<ServerTransactionId> for TransactionId {
    fn from(id: ServerTransactionId) -> Self {
        Self::Server(id)
    }
}

/// A message to put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub flow: Flow,
    /// The whole message.
    pub bytes: Bytes,
    /// The transaction that it belongs to; `None` for what is sent outside of any (ACK to 2xx, stateless answers).
    pub transaction: Option<TransactionId>,
    /// Whether this message is sent for the first time: `false` for retransmissions, which a trace leaves out.
    pub fresh: bool,
}

/// What the transaction user (user agent or proxy) has to know.
#[derive(Debug)]
pub enum Event {
    /// A new request, for which a server transaction now exists. Never ACK or CANCEL. Its top Via already bears
    /// `received` and `rport` (RFC 3261 §18.2.1, RFC 3581). An INVITE has been answered with 100 already.
    Request {
        /// Answer here.
        transaction: ServerTransactionId,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A CANCEL for an INVITE that is not finally answered. The CANCEL itself has been answered with 200 (RFC 3261
    /// §9.2); the transaction user still has to answer the INVITE (a UA: 487; a proxy: cancel its branches).
    /// A CANCEL that matches nothing is answered with 481 by the layer and not reported.
    Cancel {
        /// The INVITE to end.
        invite: ServerTransactionId,
        /// The CANCEL, for its Reason header.
        request: Message,
    },
    /// An ACK. With `completed` it closed that INVITE transaction after a non-2xx answer: hop by hop, nothing to do.
    /// Without, it acknowledges a 2xx: a UA stops retransmitting, a proxy forwards it statelessly.
    Ack {
        /// The ACK.
        request: Message,
        /// The server transaction which this ACK ended.
        completed: Option<ServerTransactionId>,
        /// Where it came from.
        flow: Flow,
    },
    /// A response: every provisional (100 too), the first final one, and every 2xx to INVITE, repeated ones and those
    /// of other forks too (RFC 6026).
    Response {
        /// Which request it answers.
        transaction: ClientTransactionId,
        /// The response, our own Via still on top.
        response: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// The answer to a CANCEL that the layer sent, for the trace only.
    CancelAnswered {
        /// The INVITE that was to be cancelled.
        invite: ClientTransactionId,
        /// The answer: 200, or 481 where the INVITE was over already.
        response: Message,
    },
    /// No final response in time (timer B or F, a shorter `give_up_after`, or 64 × T1 after CANCEL). To be treated as
    /// 408. `Terminated` follows: at once, except after `give_up_after`, when a 2xx may still come before it.
    TimedOut {
        /// The client transaction.
        transaction: ClientTransactionId,
    },
    /// No ACK to a non-2xx final answer in time (timer H). `Terminated` follows.
    AckMissing {
        /// The server transaction, which is over.
        transaction: ServerTransactionId,
    },
    /// The transport refused the message. To be treated as 503 where it is a client transaction. `Terminated` follows.
    TransportFailed {
        /// The transaction, which is over.
        transaction: TransactionId,
    },
    /// The transaction is gone; its id means nothing any more. Comes exactly once for each.
    Terminated {
        /// Which one.
        transaction: TransactionId,
    },
}

/// One output of the layer.
#[derive(Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Know this.
    Event(Event),
}

/// What the layer holds now, and what it has refused since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Client transactions that exist.
    pub client_transactions: usize,
    /// Server transactions that exist.
    pub server_transactions: usize,
    /// Deadlines that are set.
    pub timers: usize,
    /// Datagrams that were no SIP message.
    pub unparsable_total: u64,
    /// Requests refused because a header that transactions need was missing or broken.
    pub malformed_total: u64,
    /// Responses that belong to no transaction of ours.
    pub stray_responses_total: u64,
    /// Requests refused with 503 and own ones not sent because there were as many as may be.
    pub overload_total: u64,
}
