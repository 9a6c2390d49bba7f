//! One WebRTC leg: ICE, DTLS and SRTP of one peer joined (see the crate's front page).
//!
//! ```text
//! Idle ─ DTLS from a checked address, or our turn to start ─► Handshaking ─ keys and the right certificate ─► Up
//!   └──────────────── timeout, wrong certificate, close_notify, close() ────────┴──────────────────► Over ◄───┘
//! ```

mod handshake;
mod types;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use offhook_rtp::{PacketClass, classify};
use rand::rngs::StdRng;

use crate::Path;
use crate::dtls::{Association, Certificate};
use crate::ice::{Change, Changes, IceCredentials, Limits, LiteAgent, Verdict};
use crate::srtp::{Session, SrtpError};

use handshake::Handshake;
pub use types::{
    DropReason, FailureReason, LegConfig, LegCounters, LegEvent, LegState, Received, RemoteParameters,
    SendError, Sending, Transmit,
};

/// Most datagrams that wait to be sent. The owner drains after every call, and a flight is below twenty; what would be
/// more is dropped as a network drops it, and DTLS sends it again.
const TRANSMITS_MAX: usize = 64;

/// Most events that wait. One call makes fewer than ten; with an owner that never drains, the oldest go.
const EVENTS_MAX: usize = 64;

/// One WebRTC leg.
///
/// After every call with `now`, drain [`WebRtcLeg::poll_transmit`] and [`WebRtcLeg::poll_event`], unless it was
/// [`WebRtcLeg::handle_datagram`] and returned media or a drop. Then ask [`WebRtcLeg::poll_timeout`].
#[derive(Debug)]
pub struct WebRtcLeg {
    ice: LiteAgent,
    /// None before the keys are there and the peer's certificate is checked. Boxed: a few KiB that a leg needs late.
    srtp: Option<Box<Session>>,
    dtls: DtlsState,
    certificate: Certificate,
    dtls_timeout: Duration,
    remote: Option<RemoteParameters>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<LegEvent>,
    counters: LegCounters,
}

#[derive(Debug)]
enum DtlsState {
    Idle,
    Handshaking(Handshake),
    /// The association answers repeated flights and understands close_notify; None on a leg that another node has set up.
    Up(Option<Association>),
    Over,
}

impl WebRtcLeg {
    /// A leg with fresh local credentials. The ICE timeout starts when the peer's parameters come.
    pub fn new(config: &LegConfig, rng: &mut StdRng) -> Self {
        Self::with_agent(
            config,
            LiteAgent::new(limits(config), IceCredentials::generate(rng)),
        )
    }

    /// Carries on with a leg that another node exported. Its path is known to the caller: no event tells it.
    pub fn import(now: Instant, config: &LegConfig, state: &LegState) -> Self {
        let ice = LiteAgent::resume(limits(config), state.local.clone(), state.path, now);
        Self {
            srtp: Some(Box::new(Session::import(&state.srtp))),
            dtls: DtlsState::Up(None),
            ..Self::with_agent(config, ice)
        }
    }

    /// State for another node; None while media cannot flow. Take it when this node has sent its last packet: under the
    /// same keys two nodes must not both send.
    pub fn export(&self) -> Option<LegState> {
        let srtp = self.srtp.as_ref()?.export();
        Some(LegState {
            local: self.ice.credentials().clone(),
            path: self.ice.selected_path()?,
            srtp,
        })
    }

    /// Our `a=ice-ufrag` (also the demultiplexing key, see [`crate::stun::local_ufrag`]) and `a=ice-pwd`.
    pub fn local_credentials(&self) -> &IceCredentials {
        self.ice.credentials()
    }

    /// The credentials before an ICE restart, which answer until the peer has nominated a pair under the new ones. Route
    /// both ufrags to this leg.
    pub fn previous_credentials(&self) -> Option<&IceCredentials> {
        self.ice.previous_credentials()
    }

    /// Takes what the peer's SDP says. Checks and the DTLS handshake may run before it; media waits for it. A later SDP
    /// of the same peer may change its ICE credentials (a restart); one with another certificate wants a new DTLS
    /// association (RFC 8842 §5.4), and media waits for that.
    pub fn set_remote(&mut self, now: Instant, remote: RemoteParameters) {
        self.ice.expect_peer(now);
        let is_other = |before: &RemoteParameters| {
            let mut known = before.fingerprints.iter();
            !known.any(|fingerprint| remote.fingerprints.contains(fingerprint))
        };
        if self.remote.as_ref().is_some_and(is_other) {
            self.srtp = None;
            self.dtls = DtlsState::Idle;
        }
        self.remote = Some(remote);
        self.advance_dtls(now);
    }

    /// Whether the handshake is done: there are keys for media.
    pub fn has_keys(&self) -> bool {
        self.srtp.is_some()
    }

    /// The peer's parameters, once set.
    pub fn remote(&self) -> Option<&RemoteParameters> {
        self.remote.as_ref()
    }

    /// Another leg has proven that its peer sends from this address: it counts as ours again after the next check from there.
    pub fn forget_path(&mut self, path: Path) {
        self.ice.forget(path);
    }

    /// ICE restart (RFC 8445 §9): new local credentials, same DTLS and SRTP; media goes on over the old pair until a pair
    /// is nominated under the new ones.
    pub fn restart_ice(&mut self, rng: &mut StdRng) -> &IceCredentials {
        self.ice.restart(IceCredentials::generate(rng));
        self.ice.credentials()
    }

    /// Takes a datagram that came on `path`; media is decrypted in place.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> Received {
        let received = match classify(datagram) {
            PacketClass::Rtp => {
                let opened = self
                    .inbound(path)
                    .and_then(|srtp| Ok(srtp.inbound.unprotect_rtp(datagram)?));
                opened.map(|len| Received::Rtp { len })
            }
            PacketClass::Rtcp => {
                let opened = self
                    .inbound(path)
                    .and_then(|srtp| Ok(srtp.inbound.unprotect_rtcp(datagram)?));
                opened.map(|len| Received::Rtcp { len })
            }
            PacketClass::Stun => self.handle_stun(now, path, datagram),
            PacketClass::Dtls => self.handle_dtls(now, path, datagram),
            PacketClass::Unknown => Err(DropReason::UnknownClass),
        };
        received.unwrap_or_else(|reason| {
            self.counters.count(reason);
            Received::Dropped(reason)
        })
    }

    /// Protects the RTP packet in the first `len` bytes of `buffer`, which needs [`crate::srtp::GROWTH_MAX`] bytes more.
    pub fn send_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<Sending, SendError> {
        let (srtp, path) = self.outbound()?;
        let len = srtp.outbound.protect_rtp(buffer, len)?;
        Ok(Sending { path, len })
    }

    /// Protects the RTCP compound in the first `len` bytes of `buffer`, like [`WebRtcLeg::send_rtp`].
    pub fn send_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<Sending, SendError> {
        let (srtp, path) = self.outbound()?;
        let len = srtp.outbound.protect_rtcp(buffer, len)?;
        Ok(Sending { path, len })
    }

    /// Runs timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.dtls, DtlsState::Over) {
            return;
        }
        let mut changes = Changes::new();
        self.ice.handle_timeout(now, &mut changes);
        self.take_changes(now, changes);
        self.run_dtls_timers(now);
    }

    /// When to call [`WebRtcLeg::handle_timeout`] next. Media packets do not change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dtls = match &self.dtls {
            DtlsState::Over => return None,
            DtlsState::Handshaking(handshake) => handshake.poll_timeout(),
            DtlsState::Up(Some(association)) => association.poll_timeout(),
            DtlsState::Up(None) | DtlsState::Idle => None,
        };
        [self.ice.poll_timeout(), dtls].into_iter().flatten().min()
    }

    /// The next STUN or DTLS datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.transmits.pop_front();
        if transmit.is_none() && self.srtp.is_some() {
            // The handshake's burst is over; what follows is one answer at a time.
            self.transmits.shrink_to(1);
        }
        transmit
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<LegEvent> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.events.shrink_to_fit();
        }
        event
    }

    /// Says goodbye (DTLS close_notify); drain `poll_transmit` once more, then drop the leg.
    pub fn close(&mut self, now: Instant) {
        if let DtlsState::Up(Some(association)) = &mut self.dtls {
            let mut outputs = Vec::new();
            association.close(now, &mut outputs);
            self.send_flight(outputs);
        }
        self.end();
    }

    /// Whether media can be sent now.
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some() && self.ice.sending_path().is_some()
    }

    /// Where media goes, or went before consent was lost.
    pub fn selected_path(&self) -> Option<Path> {
        self.ice.selected_path()
    }

    /// What was counted so far.
    pub fn counters(&self) -> LegCounters {
        LegCounters {
            checks: self.ice.checks(),
            ..self.counters
        }
    }

    fn with_agent(config: &LegConfig, ice: LiteAgent) -> Self {
        Self {
            ice,
            srtp: None,
            dtls: DtlsState::Idle,
            certificate: config.certificate.clone(),
            dtls_timeout: config.dtls_timeout,
            remote: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: LegCounters::default(),
        }
    }

    fn inbound(&mut self, path: Path) -> Result<&mut Session, DropReason> {
        if !self.ice.knows(path) {
            return Err(DropReason::Stranger);
        }
        match &mut self.srtp {
            Some(srtp) => Ok(srtp),
            None if matches!(self.dtls, DtlsState::Over) => Err(DropReason::Closed),
            None => Err(DropReason::NotReady),
        }
    }

    fn outbound(&mut self) -> Result<(&mut Session, Path), SendError> {
        match (&mut self.srtp, self.ice.sending_path()) {
            (Some(srtp), Some(path)) => Ok((srtp, path)),
            _ => Err(SendError::NotConnected),
        }
    }

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Result<Received, DropReason> {
        if matches!(self.dtls, DtlsState::Over) {
            return Err(DropReason::Closed);
        }
        let mut changes = Changes::new();
        let (verdict, answer) = self.ice.handle_message(now, path, datagram, &mut changes);
        if let Some(bytes) = answer {
            self.transmit(path, bytes);
        }
        self.take_changes(now, changes);
        match verdict {
            Verdict::Taken => Ok(Received::Handled),
            Verdict::BadMessage => Err(DropReason::BadStun),
            Verdict::BadIntegrity => Err(DropReason::BadIntegrity),
        }
    }

    fn take_changes(&mut self, now: Instant, changes: Changes) {
        for change in changes {
            self.emit(match change {
                Change::PathAdded(path) => LegEvent::AddressAdded(path),
                Change::PathRemoved(path) => LegEvent::AddressRemoved(path),
                Change::Connected(path) => LegEvent::IceConnected(path),
                Change::Selected(path) => LegEvent::SelectedAddressChanged(path),
                Change::ConsentLost => LegEvent::ConsentLost,
                Change::ConsentRegained => LegEvent::ConsentRegained,
                Change::TimedOut(waited) => {
                    self.fail(FailureReason::IceTimeout {
                        waited,
                        checks: self.ice.checks(),
                    });
                    continue;
                }
            });
            if matches!(change, Change::Connected(_)) {
                self.advance_dtls(now);
            }
        }
    }

    fn transmit(&mut self, path: Path, bytes: Vec<u8>) {
        if self.transmits.len() < TRANSMITS_MAX {
            self.transmits.push_back(Transmit { path, bytes });
        }
    }

    fn emit(&mut self, event: LegEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn fail(&mut self, reason: FailureReason) {
        self.end();
        self.emit(LegEvent::Failed(reason));
    }

    /// No media and no handshake any more.
    fn end(&mut self) {
        self.srtp = None;
        self.dtls = DtlsState::Over;
    }
}

fn limits(config: &LegConfig) -> Limits {
    Limits {
        ice_timeout: config.ice_timeout,
        consent_timeout: config.consent_timeout,
    }
}

impl LegCounters {
    fn count(&mut self, reason: DropReason) {
        let counter = match reason {
            DropReason::UnknownClass | DropReason::Malformed => &mut self.malformed,
            DropReason::Stranger => &mut self.strangers,
            DropReason::BadStun => &mut self.bad_stun,
            DropReason::BadIntegrity => &mut self.bad_integrity,
            DropReason::NotReady | DropReason::Closed => &mut self.not_ready,
            DropReason::BadTag => &mut self.bad_tag,
            DropReason::Replayed => &mut self.replayed,
            DropReason::TooManySources => &mut self.too_many_sources,
        };
        *counter += 1;
    }
}

impl From<SrtpError> for DropReason {
    fn from(error: SrtpError) -> Self {
        match error {
            SrtpError::Malformed | SrtpError::NoRoom => Self::Malformed,
            SrtpError::BadTag => Self::BadTag,
            SrtpError::Replayed | SrtpError::Repeated | SrtpError::KeyExhausted => Self::Replayed,
            SrtpError::TooManySources => Self::TooManySources,
        }
    }
}

impl From<SrtpError> for SendError {
    fn from(error: SrtpError) -> Self {
        match error {
            SrtpError::Malformed | SrtpError::NoRoom | SrtpError::BadTag => Self::Malformed,
            SrtpError::Replayed | SrtpError::Repeated => Self::Repeated,
            SrtpError::TooManySources => Self::TooManySources,
            SrtpError::KeyExhausted => Self::KeyExhausted,
        }
    }
}
