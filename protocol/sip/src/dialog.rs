//! Dialogs (RFC 3261 §12) as plain data.

/// A dialog: what both ends of a call have agreed on to address each other.
#[derive(Debug, Clone)]
pub struct Dialog {}
