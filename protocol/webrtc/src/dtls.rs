//! DTLS with the peer (RFC 5763, RFC 5764): certificate, fingerprints, handshake.
//!
//! The one module that knows the crate `dimpl`.

mod fingerprint;
mod last_flight;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use zeroize::Zeroizing;

use crate::srtp::SrtpProfile;
use last_flight::LastFlight;

pub(crate) use fingerprint::check as check_fingerprint;
pub use fingerprint::{Fingerprint, FingerprintError, HashFunction};

/// Largest datagram that the handshake makes: fits the IPv6 minimum of 1280 with headers and a tunnel to spare.
const MTU: usize = 1_200;
/// First wait before a flight is sent again. Browsers answer within a round trip, and the call waits for it.
const FLIGHT_RTO: Duration = Duration::from_millis(200);
/// With a doubling wait more than the leg's own limit, which is to decide.
const FLIGHT_RETRIES: usize = 10;
/// A flight has at most six messages, and a certificate of 8 KiB takes seven datagrams; a network that doubles and
/// reorders brings each a few times. A full queue is the end of the handshake.
const QUEUE_LEN_MAX: usize = 32;
/// Longest datagram that the engine is asked for in one go; grown to what it says it needs.
const OUTPUT_LEN: usize = 2_048;
/// Most outputs of one call: a flight is below twenty datagrams.
const OUTPUTS_MAX: usize = 64;

/// Who starts the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We send the ClientHello (`a=setup:active`).
    Active,
    /// The peer does (`a=setup:passive`).
    Passive,
}

/// A self-signed ECDSA P-256 certificate with its key, made once per process. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Identity>,
}

struct Identity {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    config: Arc<Config>,
}

/// No certificate could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a DTLS certificate: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes one, valid for a year from now: call it from the shell at start (it reads the clock; about 30 ms).
    pub fn generate() -> Result<Self, CertificateError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|error| CertificateError(error.to_string()))?;
        let config = Config::builder()
            .mtu(MTU)
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .max_queue_rx(QUEUE_LEN_MAX)
            .max_queue_tx(QUEUE_LEN_MAX)
            // A ClientHello only reaches the engine from an address that has passed an ICE check: no cookie needed.
            .use_server_cookie(false)
            .build()
            .map_err(|error| CertificateError(error.to_string()))?;
        let fingerprint = Fingerprint::of(HashFunction::Sha256, &certificate.certificate);
        Ok(Self {
            inner: Arc::new(Identity {
                certificate,
                fingerprint,
                config: Arc::new(config),
            }),
        })
    }

    /// Its sha-256 fingerprint, for our SDP.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.inner.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificate")
            .field("fingerprint", &self.inner.fingerprint)
            .finish_non_exhaustive()
    }
}

/// What the handshake yields.
pub(crate) enum DtlsOutput {
    /// Send this.
    Datagram(Vec<u8>),
    /// The peer's certificate, DER. Its signature of the handshake is checked, nothing else.
    PeerCertificate(Vec<u8>),
    /// Keying material for SRTP, or a profile that we don't know.
    Keys(Option<SrtpProfile>, Zeroizing<Vec<u8>>),
    /// Both sides are done.
    Connected,
    /// close_notify.
    Closed,
}

/// The association with one peer.
pub(crate) struct Association {
    /// On the heap: a leg is moved, and after the handshake this is cold.
    engine: Box<Dtls>,
    role: DtlsRole,
    timeout: Option<Instant>,
    /// Of the passive role, which speaks last.
    last_flight: Option<LastFlight>,
}

impl Association {
    /// Version 1.3 or 1.2, whichever the peer can.
    pub(crate) fn new(now: Instant, certificate: &Certificate, role: DtlsRole) -> Self {
        let identity = &certificate.inner;
        let mut engine = Dtls::new_auto(Arc::clone(&identity.config), identity.certificate.clone(), now);
        engine.set_active(role == DtlsRole::Active);
        Self {
            engine: Box::new(engine),
            role,
            timeout: None,
            last_flight: None,
        }
    }

    pub(crate) fn role(&self) -> DtlsRole {
        self.role
    }

    /// Takes a datagram of the peer and appends to the empty `out`. An error is the end of the association.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        out: &mut Vec<DtlsOutput>,
    ) -> Result<(), dimpl::Error> {
        self.engine.handle_timeout(now)?;
        self.drain(out);
        self.engine.handle_packet(datagram)?;
        self.drain(out);
        match &mut self.last_flight {
            Some(flight) => flight.answer(now, datagram, out),
            None if self.role == DtlsRole::Passive => self.last_flight = LastFlight::of(now, out),
            None => {}
        }
        Ok(())
    }

    /// Runs timers that are due, and starts the handshake of the active role.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut Vec<DtlsOutput>,
    ) -> Result<(), dimpl::Error> {
        self.engine.handle_timeout(now)?;
        self.drain(out);
        Ok(())
    }

    /// When to call [`Association::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Sends close_notify, once.
    pub(crate) fn close(&mut self, now: Instant, out: &mut Vec<DtlsOutput>) {
        if self.engine.handle_timeout(now).is_ok() && self.engine.close().is_ok() {
            self.drain(out);
        }
    }

    fn drain(&mut self, out: &mut Vec<DtlsOutput>) {
        let mut stack = [0; OUTPUT_LEN];
        let mut heap = Vec::new();
        for _ in 0..OUTPUTS_MAX {
            let buffer = if heap.is_empty() {
                &mut stack[..]
            } else {
                &mut heap[..]
            };
            out.push(match self.engine.poll_output(buffer) {
                Output::Packet(bytes) => DtlsOutput::Datagram(bytes.to_vec()),
                Output::PeerCert(der) => DtlsOutput::PeerCertificate(der.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    DtlsOutput::Keys(known_profile(profile), Zeroizing::new(material.to_vec()))
                }
                Output::Connected => DtlsOutput::Connected,
                Output::CloseNotify => DtlsOutput::Closed,
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                Output::BufferTooSmall { needed } => {
                    heap.resize(needed, 0);
                    continue;
                }
                // Data channels are not ours; whatever comes over the association is not media.
                _ => continue,
            });
        }
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Association")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

fn known_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::AesCm128HmacSha1_80),
        _ => None,
    }
}
