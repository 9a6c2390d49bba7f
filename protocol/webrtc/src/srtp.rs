//! SRTP and SRTCP (RFC 3711, RFC 7714): packets protected and unprotected in place, without allocation.
//!
//! [`Inbound`] and [`Outbound`] are the two directions; each holds its session keys and, per source, the packet index
//! and the window of what it has seen. [`Session`] is the pair, made from DTLS, from SDES keys, or from another node's
//! [`SessionState`].

mod cipher;
mod context;
mod keys;
mod streams;

pub use context::{Inbound, Outbound};
pub use keys::{KeyError, MasterKey};
pub use streams::{SOURCES_MAX, StreamState};

use std::fmt;

/// Most bytes that protecting adds: the SRTCP index and a GCM tag.
pub const GROWTH_MAX: usize = 4 + 16;

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

impl SrtpProfile {
    /// Length of the master key, in bytes.
    pub fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt, in bytes.
    pub fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }
}

impl fmt::Display for SrtpProfile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        })
    }
}

/// Why a packet was not protected or unprotected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Not RTP or RTCP of version 2, or too short to hold header, index and tag.
    #[error("not an SRTP or SRTCP packet")]
    Malformed,
    /// The buffer has fewer than [`GROWTH_MAX`] spare bytes.
    #[error("the buffer has no room for the authentication tag")]
    NoRoom,
    /// The tag is not ours: wrong key, changed packet, or a guess.
    #[error("wrong authentication tag")]
    BadTag,
    /// This index was seen before, or is older than the replay window.
    #[error("replayed or too old")]
    Replayed,
    /// A packet of this index was already sent, or may have been; sending another would break the cipher.
    #[error("the packet index was used before")]
    Repeated,
    /// More than [`SOURCES_MAX`] sources.
    #[error("more than {SOURCES_MAX} sources under one key")]
    TooManySources,
    /// 2^48 RTP or 2^31 RTCP packets were sent under this key (RFC 3711 §9.2).
    #[error("the key is used up")]
    KeyExhausted,
}

/// Both directions of one peer.
#[derive(Debug)]
pub struct Session {
    /// What comes from the peer.
    pub inbound: Inbound,
    /// What goes to it.
    pub outbound: Outbound,
}

/// Exported [`Session`]: keys, rollover counters and replay windows. Keys are wiped on drop and not shown by Debug.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Profile of both directions.
    pub profile: SrtpProfile,
    /// Master key of what comes from the peer.
    pub inbound_key: MasterKey,
    /// Sources seen from the peer.
    pub inbound: Vec<StreamState>,
    /// Master key of what goes to it.
    pub outbound_key: MasterKey,
    /// Sources sent to the peer.
    pub outbound: Vec<StreamState>,
}

impl Session {
    /// From two master keys.
    pub fn new(inbound: MasterKey, outbound: MasterKey) -> Self {
        Self {
            inbound: Inbound::new(inbound),
            outbound: Outbound::new(outbound),
        }
    }

    /// From the keying material that DTLS exports (RFC 5764 §4.2): client key, server key, client salt, server salt.
    pub fn from_dtls(profile: SrtpProfile, material: &[u8], we_are_client: bool) -> Result<Self, KeyError> {
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        let expected = 2 * (key_len + salt_len);
        if material.len() != expected {
            return Err(KeyError {
                profile,
                expected,
                actual: material.len(),
            });
        }
        let (keys, salts) = material.split_at(2 * key_len);
        let client = MasterKey::new(profile, &keys[..key_len], &salts[..salt_len])?;
        let server = MasterKey::new(profile, &keys[key_len..], &salts[salt_len..])?;
        let (inbound, outbound) = if we_are_client {
            (server, client)
        } else {
            (client, server)
        };
        Ok(Self::new(inbound, outbound))
    }

    /// Profile of both directions.
    pub fn profile(&self) -> SrtpProfile {
        self.outbound.profile()
    }

    /// All that another node needs to carry on.
    pub fn export(&self) -> SessionState {
        SessionState {
            profile: self.profile(),
            inbound_key: self.inbound.master_key().clone(),
            inbound: self.inbound.streams(),
            outbound_key: self.outbound.master_key().clone(),
            outbound: self.outbound.streams(),
        }
    }

    /// Carries on. Sources beyond [`SOURCES_MAX`] are left out.
    pub fn import(state: &SessionState) -> Self {
        Self {
            inbound: Inbound::resume(state.inbound_key.clone(), &state.inbound),
            outbound: Outbound::resume(state.outbound_key.clone(), &state.outbound),
        }
    }
}

#[cfg(test)]
mod tests;
