//! SRTP and SRTCP (RFC 3711, RFC 7714).

/// Most bytes that protecting adds: SRTCP index and GCM tag.
pub const GROWTH_MAX: usize = 20;

/// Protection profile (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AEAD_AES_128_GCM
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM
    AeadAes256Gcm,
    /// AES_CM_128_HMAC_SHA1_80
    AesCm128HmacSha1_80,
}

/// Exported state of both directions.
#[derive(Debug, Clone)]
pub struct SessionState {}
