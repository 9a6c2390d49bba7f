//! The transforms: AES-CM with HMAC-SHA1 (RFC 3711 §4) and AES-GCM (RFC 7714), keyed once and used per packet.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCoreWrapper};
use aes::cipher::{StreamCipher, array::Array};
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{Hmac, Mac};
use offhook_rtp::Ssrc;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::keys::{Label, MasterKey, SALT_LEN};
use super::{SrtpError, SrtpProfile};

/// HMAC-SHA1 cut to 80 bits.
const CM_TAG_LEN: usize = 10;
const GCM_TAG_LEN: usize = 16;
const GCM_SALT_LEN: usize = 12;

/// Keys for RTP and for RTCP of one direction.
pub(super) struct Cipher {
    pub(super) rtp: Transform,
    pub(super) rtcp: Transform,
}

/// One keyed transform.
#[expect(
    clippy::large_enum_variant,
    reason = "inline on purpose: one cache walk per packet, no second heap object"
)]
pub(super) enum Transform {
    Cm(Cm),
    Gcm(Gcm),
}

pub(super) struct Cm {
    aes: Aes128Enc,
    /// Keyed; cloned per packet, which is cheaper than keying.
    mac: Hmac<Sha1>,
    salt: [u8; SALT_LEN],
}

pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; GCM_SALT_LEN],
}

impl Cipher {
    pub(super) fn new(master: &MasterKey) -> Self {
        Self {
            rtp: Transform::new(
                master,
                Label::RtpEncryption,
                Label::RtpAuthentication,
                Label::RtpSalt,
            ),
            rtcp: Transform::new(
                master,
                Label::RtcpEncryption,
                Label::RtcpAuthentication,
                Label::RtcpSalt,
            ),
        }
    }
}

impl Transform {
    fn new(master: &MasterKey, encryption: Label, authentication: Label, salt: Label) -> Self {
        let key = master.derive::<32>(encryption);
        let key = &key[..master.profile().key_len()];
        let (authentication, salt) = (
            master.derive::<20>(authentication),
            master.derive::<SALT_LEN>(salt),
        );
        Self::from_session_keys(master.profile(), key, &authentication, &salt)
    }

    /// Keys of the profile's lengths; `authentication` is for CM alone.
    pub(super) fn from_session_keys(
        profile: SrtpProfile,
        key: &[u8],
        authentication: &[u8; 20],
        salt: &[u8; SALT_LEN],
    ) -> Self {
        let algorithm = match profile {
            SrtpProfile::AesCm128HmacSha1_80 => {
                return Self::Cm(Cm {
                    aes: Aes128Enc::new_from_slice(key).expect("the profile's key has 16 bytes"),
                    mac: <Hmac<Sha1> as KeyInit>::new_from_slice(authentication)
                        .expect("HMAC takes a key of any length"),
                    salt: *salt,
                });
            }
            SrtpProfile::AeadAes128Gcm => &AES_128_GCM,
            SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("the profile's key has the algorithm's length");
        let salt = *salt.first_chunk().expect("14 bytes hold 12");
        Self::Gcm(Gcm {
            key: LessSafeKey::new(key),
            salt,
        })
    }

    /// Length of the authentication tag.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Cm(_) => CM_TAG_LEN,
            Self::Gcm(_) => GCM_TAG_LEN,
        }
    }
}

/// What a transform needs to know of an RTP packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct RtpPosition {
    pub(super) ssrc: Ssrc,
    /// 48 bits: rollover counter and sequence number.
    pub(super) index: u64,
    pub(super) header_len: usize,
}

impl Transform {
    /// Protects `buffer[..len]`; the buffer has room for the tag. Returns the new length.
    pub(super) fn seal_rtp(
        &self,
        buffer: &mut [u8],
        len: usize,
        at: RtpPosition,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::Cm(cm) => {
                cm.apply(at.ssrc, at.index, &mut buffer[at.header_len..len]);
                let tag = cm.tag(&buffer[..len], rollover_counter(at.index));
                buffer[len..len + CM_TAG_LEN].copy_from_slice(&tag);
            }
            Self::Gcm(gcm) => {
                let (header, payload) = buffer[..len].split_at_mut(at.header_len);
                let tag = gcm.seal(gcm.rtp_nonce(at), header, payload)?;
                buffer[len..len + GCM_TAG_LEN].copy_from_slice(tag.as_ref());
            }
        }
        Ok(len + self.tag_len())
    }

    /// Unprotects a packet that is at least header and tag long. Returns its length without the tag.
    pub(super) fn open_rtp(&self, packet: &mut [u8], at: RtpPosition) -> Result<usize, SrtpError> {
        let len = packet.len() - self.tag_len();
        match self {
            Self::Cm(cm) => {
                let tag = cm.tag(&packet[..len], rollover_counter(at.index));
                check_tag(&tag, &packet[len..])?;
                cm.apply(at.ssrc, at.index, &mut packet[at.header_len..len]);
            }
            Self::Gcm(gcm) => {
                let (header, payload) = packet.split_at_mut(at.header_len);
                gcm.open(gcm.rtp_nonce(at), header, payload)?;
            }
        }
        Ok(len)
    }
}

/// First byte up to and with the sender's SSRC: never encrypted in SRTCP.
pub(super) const RTCP_CLEAR_LEN: usize = 8;
/// E bit and SRTCP index.
pub(super) const RTCP_INDEX_LEN: usize = 4;
const RTCP_ENCRYPTED: u32 = 1 << 31;

impl Transform {
    /// Protects `buffer[..len]`; the buffer has room for index and tag. Returns the new length.
    pub(super) fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        len: usize,
        ssrc: Ssrc,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let trailer = (RTCP_ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Cm(cm) => {
                cm.apply(ssrc, u64::from(index), &mut buffer[RTCP_CLEAR_LEN..len]);
                let end = len + RTCP_INDEX_LEN;
                buffer[len..end].copy_from_slice(&trailer);
                let tag = cm.tag(&buffer[..end], []);
                buffer[end..end + CM_TAG_LEN].copy_from_slice(&tag);
            }
            Self::Gcm(gcm) => {
                let (header, body) = buffer[..len].split_at_mut(RTCP_CLEAR_LEN);
                let tag = gcm.seal(gcm.rtcp_nonce(ssrc, index), &rtcp_aad(header, trailer), body)?;
                let end = len + GCM_TAG_LEN;
                buffer[len..end].copy_from_slice(tag.as_ref());
                buffer[end..end + RTCP_INDEX_LEN].copy_from_slice(&trailer);
            }
        }
        Ok(len + self.tag_len() + RTCP_INDEX_LEN)
    }

    /// SRTCP index that a packet claims; None if it is too short or not encrypted, which no peer of ours may send.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let len = packet
            .len()
            .checked_sub(self.tag_len() + RTCP_INDEX_LEN)
            .filter(|len| *len >= RTCP_CLEAR_LEN)?;
        let at = match self {
            Self::Cm(_) => len,
            Self::Gcm(_) => len + GCM_TAG_LEN,
        };
        let trailer = u32::from_be_bytes(*packet.get(at..)?.first_chunk()?);
        (trailer & RTCP_ENCRYPTED != 0).then_some(trailer & !RTCP_ENCRYPTED)
    }

    /// Unprotects a packet whose index [`Transform::rtcp_index`] has read. Returns its length without index and tag.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: Ssrc, index: u32) -> Result<usize, SrtpError> {
        let len = packet.len() - self.tag_len() - RTCP_INDEX_LEN;
        match self {
            Self::Cm(cm) => {
                let end = len + RTCP_INDEX_LEN;
                check_tag(&cm.tag(&packet[..end], []), &packet[end..])?;
                cm.apply(ssrc, u64::from(index), &mut packet[RTCP_CLEAR_LEN..len]);
            }
            Self::Gcm(gcm) => {
                let trailer = (RTCP_ENCRYPTED | index).to_be_bytes();
                let (header, body) = packet[..len + GCM_TAG_LEN].split_at_mut(RTCP_CLEAR_LEN);
                gcm.open(gcm.rtcp_nonce(ssrc, index), &rtcp_aad(header, trailer), body)?;
            }
        }
        Ok(len)
    }
}

impl Cm {
    /// Encrypts or decrypts: keystream from `salt·2^16 ⊕ SSRC·2^64 ⊕ index·2^16` (RFC 3711 §4.1.1).
    fn apply(&self, ssrc: Ssrc, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..SALT_LEN].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.0.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        let core = CtrCore::<&Aes128Enc, Ctr128BE>::inner_iv_init(&self.aes, &Array(iv));
        StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
    }

    /// HMAC over the packet and, for RTP, the rollover counter (§4.2).
    fn tag(&self, packet: &[u8], rollover_counter: impl AsRef<[u8]>) -> [u8; CM_TAG_LEN] {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(rollover_counter.as_ref());
        let digest = mac.finalize().into_bytes();
        let mut tag = [0; CM_TAG_LEN];
        tag.copy_from_slice(&digest[..CM_TAG_LEN]);
        tag
    }
}

impl Gcm {
    /// RFC 7714 §8.1: zero, SSRC, rollover counter, sequence number, with the salt.
    fn rtp_nonce(&self, at: RtpPosition) -> [u8; GCM_SALT_LEN] {
        let mut nonce = self.salt;
        xor(&mut nonce[2..6], &at.ssrc.0.to_be_bytes());
        xor(&mut nonce[6..], &at.index.to_be_bytes()[2..]);
        nonce
    }

    /// RFC 7714 §9.1: zero, SSRC, zero, SRTCP index, with the salt.
    fn rtcp_nonce(&self, ssrc: Ssrc, index: u32) -> [u8; GCM_SALT_LEN] {
        let mut nonce = self.salt;
        xor(&mut nonce[2..6], &ssrc.0.to_be_bytes());
        xor(&mut nonce[8..], &index.to_be_bytes());
        nonce
    }

    fn seal(
        &self,
        nonce: [u8; GCM_SALT_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<ring::aead::Tag, SrtpError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        // It only fails for data of 64 GiB.
        self.key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
            .map_err(|_| SrtpError::Malformed)
    }

    fn open(&self, nonce: [u8; GCM_SALT_LEN], aad: &[u8], data_and_tag: &mut [u8]) -> Result<(), SrtpError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        match self.key.open_in_place(nonce, Aad::from(aad), data_and_tag) {
            Ok(_) => Ok(()),
            Err(_) => Err(SrtpError::BadTag),
        }
    }
}

/// What GCM authenticates of an encrypted SRTCP packet without encrypting it (RFC 7714 §9.2).
fn rtcp_aad(header: &[u8], trailer: [u8; RTCP_INDEX_LEN]) -> [u8; RTCP_CLEAR_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_CLEAR_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_CLEAR_LEN].copy_from_slice(header);
    aad[RTCP_CLEAR_LEN..].copy_from_slice(&trailer);
    aad
}

fn rollover_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn check_tag(expected: &[u8; CM_TAG_LEN], actual: &[u8]) -> Result<(), SrtpError> {
    if bool::from(expected.ct_eq(actual)) {
        Ok(())
    } else {
        Err(SrtpError::BadTag)
    }
}

fn xor(target: &mut [u8], with: &[u8]) {
    for (target, with) in target.iter_mut().zip(with) {
        *target ^= with;
    }
}
