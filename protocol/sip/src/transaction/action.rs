//! What a single transaction asks of the layer that owns it.

use bytes::Bytes;
use offhook_sip_message::Message;
use smallvec::SmallVec;

/// One effect of an input on a transaction. The layer carries them out in order.
#[derive(Debug)]
pub(super) enum Action {
    /// Put this on the wire; `fresh` is false for a repetition.
    Send { bytes: Bytes, fresh: bool },
    /// Give this response to the transaction user.
    Deliver(Message),
    /// Start a transaction for this CANCEL.
    StartCancel(Box<Message>),
    /// Tell the transaction user that no final response came (timers B and F).
    TimedOut,
    /// Tell the transaction user that no ACK came (timer H).
    AckMissing,
}

/// Rarely more than two effects at once.
pub(super) type Actions = SmallVec<[Action; 2]>;

impl Action {
    pub(super) fn send(bytes: &Bytes) -> Self {
        Self::Send {
            bytes: bytes.clone(),
            fresh: true,
        }
    }

    pub(super) fn repeat(bytes: &Bytes) -> Self {
        Self::Send {
            bytes: bytes.clone(),
            fresh: false,
        }
    }
}
