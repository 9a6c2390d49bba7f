//! Shared reading.
