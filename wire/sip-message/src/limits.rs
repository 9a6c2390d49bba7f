//! Limits on what a peer may send; beyond them parsing fails instead of growing.

/// Longest message in bytes: the largest UDP payload and more than any real message; positions fit 16 bits.
pub const MESSAGE_MAX: usize = 65_535;

/// Most header lines of a message. Real ones have 10 to 40; each further line costs index memory.
pub const HEADER_LINES_MAX: usize = 256;

/// Most values that iteration over one header yields, so that a list of commas costs nobody time.
pub const LIST_VALUES_MAX: usize = 256;

/// Longest head (start line and headers) that a stream may send before its end is found.
pub const STREAM_HEAD_MAX: usize = 32 * 1024;
