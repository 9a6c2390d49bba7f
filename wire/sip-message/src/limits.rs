//! Limits on what a peer may send; beyond them parsing fails instead of growing.

/// Longest message in bytes: the largest UDP payload over IPv4, so that whatever is made can be sent, and more than any real
/// message; positions fit 16 bits.
pub const MESSAGE_MAX: usize = 65_507;

/// Bytes that a request has to leave of [`MESSAGE_MAX`] for what its answers hold besides its headers, and for what those
/// who pass it on add: Via, Record-Route, credentials.
pub const GROWTH_LEN: usize = 4_096;

/// Header lines that a request has to leave of [`HEADER_LINES_MAX`], for the same reason.
pub const GROWTH_LINES: usize = 16;

/// Most header lines of a message. Real ones have 10 to 40; each further line costs index memory.
pub const HEADER_LINES_MAX: usize = 256;

/// Most values that iteration over one header yields, so that a list of commas costs nobody time.
pub const LIST_VALUES_MAX: usize = 256;

/// Longest head (start line and headers) that a stream may send before its end is found.
pub const STREAM_HEAD_MAX: usize = 32 * 1024;
