//! SIP state machines: transactions, dialogs, user agent, digest; sans-IO.
