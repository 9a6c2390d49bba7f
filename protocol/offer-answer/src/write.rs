//! Shared writing.
