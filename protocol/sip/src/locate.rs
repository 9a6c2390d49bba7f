//! Where responses and requests go (RFC 3261 §18.2.2, §12.2.1.1).
