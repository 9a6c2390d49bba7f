//! The peer: a full, controlling ICE agent and DTLS as a browser has them, with our SRTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output, certificate};
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use offhook_rtp::{PacketClass, classify};
use offhook_webrtc::ice::IceCredentials;
use offhook_webrtc::srtp::{Session, SrtpProfile};
use offhook_webrtc::{Fingerprint, HashFunction, Path};
use std::sync::LazyLock;

static CERTIFICATE: LazyLock<DtlsCertificate> =
    LazyLock::new(|| certificate::generate_self_signed_certificate().unwrap());

/// What DTLS the peer can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Dtls12,
    Dtls13,
    Either,
}

pub(crate) struct Client {
    identity: DtlsCertificate,
    agent: IceAgent,
    dtls: Dtls,
    is_active: bool,
    dtls_timeout: Option<Instant>,
    dtls_out: Vec<Vec<u8>>,
    keys: Option<(SrtpProfile, Vec<u8>)>,
    pub(crate) is_dtls_done: bool,
    pub(crate) is_dtls_closed: bool,
    srtp: Option<Session>,
    selected: Option<Path>,
    now: Instant,
}

impl Client {
    pub(crate) fn new(now: Instant, version: Version, is_active: bool, address: SocketAddr) -> Self {
        Self::with(now, version, is_active, address, CERTIFICATE.clone())
    }

    /// A peer with a certificate of its own.
    pub(crate) fn other(now: Instant, version: Version, is_active: bool, address: SocketAddr) -> Self {
        let identity = certificate::generate_self_signed_certificate().unwrap();
        Self::with(now, version, is_active, address, identity)
    }

    fn with(
        now: Instant,
        version: Version,
        is_active: bool,
        address: SocketAddr,
        identity: DtlsCertificate,
    ) -> Self {
        let mut agent = IceAgent::new(IceCreds::new());
        agent.set_controlling(true);
        agent.add_local_candidate(Candidate::host(address, "udp").unwrap());
        agent.handle_timeout(now);
        let config = Config::builder()
            .flight_start_rto(Duration::from_millis(100))
            .flight_retries(10)
            .build()
            .map(Arc::new)
            .unwrap();
        let mut dtls = match version {
            Version::Dtls12 => Dtls::new_12(config, identity.clone(), now),
            Version::Dtls13 => Dtls::new_13(config, identity.clone(), now),
            Version::Either => Dtls::new_auto(config, identity.clone(), now),
        };
        dtls.set_active(is_active);
        Self {
            identity,
            agent,
            dtls,
            is_active,
            dtls_timeout: None,
            dtls_out: Vec::new(),
            keys: None,
            is_dtls_done: false,
            is_dtls_closed: false,
            srtp: None,
            selected: None,
            now,
        }
    }

    pub(crate) fn credentials(&self) -> IceCredentials {
        let IceCreds { ufrag, pass } = self.agent.local_credentials().clone();
        super::credentials(&ufrag, &pass)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(HashFunction::Sha256, &self.identity.certificate)
    }

    pub(crate) fn certificate(&self) -> &[u8] {
        &self.identity.certificate
    }

    pub(crate) fn set_remote(&mut self, credentials: &IceCredentials, address: SocketAddr) {
        let (ufrag, pass) = (credentials.ufrag.clone(), credentials.pwd.clone());
        self.agent.set_remote_credentials(IceCreds { ufrag, pass });
        self.agent
            .add_remote_candidate(Candidate::host(address, "udp").unwrap());
    }

    /// ICE restart from this side: new credentials, same addresses.
    pub(crate) fn restart_ice(&mut self) {
        self.agent.ice_restart(IceCreds::new(), true);
    }

    /// The network changes: the old address is gone, the new one is there.
    pub(crate) fn roam(&mut self, old: SocketAddr, new: SocketAddr) {
        self.agent
            .add_local_candidate(Candidate::host(new, "udp").unwrap());
        self.agent
            .invalidate_candidate(&Candidate::host(old, "udp").unwrap());
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.srtp.is_some() && self.selected.is_some()
    }

    pub(crate) fn profile(&self) -> Option<SrtpProfile> {
        self.keys.as_ref().map(|(profile, _)| *profile)
    }

    pub(crate) fn close(&mut self) {
        self.dtls.close().unwrap();
        self.drain_dtls();
    }

    pub(crate) fn send_rtp(&mut self, packet: &[u8]) -> Option<(Path, Vec<u8>)> {
        let (mut buffer, len) = super::roomy(packet);
        let len = self
            .srtp
            .as_mut()?
            .outbound
            .protect_rtp(&mut buffer, len)
            .unwrap();
        buffer.truncate(len);
        Some((self.selected?, buffer))
    }

    /// RTP, if it was.
    pub(crate) fn handle_datagram(&mut self, now: Instant, path: Path, bytes: &mut [u8]) -> Option<Vec<u8>> {
        self.now = now;
        match classify(bytes) {
            PacketClass::Stun => {
                let message = StunMessage::parse(bytes).unwrap();
                let packet = StunPacket {
                    proto: Protocol::Udp,
                    source: path.remote,
                    destination: path.local,
                    message,
                };
                self.agent.handle_packet(now, packet);
                self.take_ice_events();
                None
            }
            PacketClass::Dtls => {
                self.dtls.handle_timeout(now).unwrap();
                self.drain_dtls();
                // After close() the engine refuses what still arrives.
                let _ = self.dtls.handle_packet(bytes);
                self.drain_dtls();
                None
            }
            PacketClass::Rtp => {
                let len = self.srtp.as_mut()?.inbound.unprotect_rtp(bytes).ok()?;
                Some(bytes[..len].to_vec())
            }
            PacketClass::Rtcp | PacketClass::Unknown => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle_timeout(now);
        }
        self.take_ice_events();
        if self.dtls_timeout.is_some_and(|due| due <= now) {
            self.dtls.handle_timeout(now).unwrap();
            self.drain_dtls();
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        // The agent's own timeout needs `&mut`; a look every 20 ms is fine enough for it.
        [Some(self.now + Duration::from_millis(20)), self.dtls_timeout]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<(Path, Vec<u8>)> {
        self.now = now;
        if let Some(transmit) = self.agent.poll_transmit() {
            let path = Path {
                local: transmit.source,
                remote: transmit.destination,
            };
            return Some((path, transmit.contents.to_vec()));
        }
        let path = self.selected?;
        (!self.dtls_out.is_empty()).then(|| (path, self.dtls_out.remove(0)))
    }

    fn take_ice_events(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend {
                source, destination, ..
            } = event
            {
                let is_first = self.selected.is_none();
                self.selected = Some(Path {
                    local: source,
                    remote: destination,
                });
                if is_first && self.is_active {
                    self.dtls.handle_timeout(self.now).unwrap();
                    self.drain_dtls();
                }
            }
        }
    }

    fn drain_dtls(&mut self) {
        let mut buffer = vec![0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => self.dtls_out.push(bytes.to_vec()),
                Output::Connected => self.is_dtls_done = true,
                Output::KeyingMaterial(material, profile) => {
                    self.keys = Some((known(profile), material.to_vec()));
                }
                Output::CloseNotify => self.is_dtls_closed = true,
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    break;
                }
                _ => {}
            }
        }
        if let (true, None, Some((profile, material))) = (self.is_dtls_done, &self.srtp, &self.keys) {
            self.srtp = Some(Session::from_dtls(*profile, material, self.is_active).unwrap());
        }
    }
}

fn known(profile: dimpl::SrtpProfile) -> SrtpProfile {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::AesCm128HmacSha1_80,
        other => panic!("{other}"),
    }
}
