//! The leg's DTLS: when it starts, what it needs to be done, and what ends it.

use std::time::Instant;

use zeroize::Zeroizing;

use super::{DropReason, DtlsState, FailureReason, LegEvent, Received, RemoteParameters, WebRtcLeg};
use crate::dtls::{Association, DtlsOutput, check_fingerprint};
use crate::srtp::{Session, SrtpProfile};
use crate::{DtlsRole, Path};

/// A handshake and what it has yielded so far.
#[derive(Debug)]
pub(super) struct Handshake {
    association: Association,
    /// Where the peer's last datagram came from: answers go there until a pair is nominated.
    path: Path,
    /// Set once ICE is connected and the peer's parameters are known.
    deadline: Option<Instant>,
    certificate: Option<Vec<u8>>,
    keys: Option<(Option<SrtpProfile>, Zeroizing<Vec<u8>>)>,
    is_done: bool,
}

impl Handshake {
    fn new(association: Association, path: Path) -> Self {
        Self {
            association,
            path,
            deadline: None,
            certificate: None,
            keys: None,
            is_done: false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.deadline, self.association.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// SRTP, as soon as the handshake is done and the certificate is the one that the SDP named.
    fn try_finish(&mut self, remote: &RemoteParameters) -> Result<Option<Session>, FailureReason> {
        let Some(certificate) = &self.certificate else {
            return Ok(None);
        };
        check_fingerprint(&remote.fingerprints, certificate).map_err(|actual| {
            let named: Vec<_> = remote.fingerprints.iter().map(ToString::to_string).collect();
            FailureReason::FingerprintMismatch {
                expected: named.join(", "),
                actual: actual.to_string(),
            }
        })?;
        if !self.is_done {
            return Ok(None);
        }
        let Some((Some(profile), material)) = &self.keys else {
            return Err(FailureReason::NoSrtpProfile);
        };
        let we_are_client = self.association.role() == DtlsRole::Active;
        let session = Session::from_dtls(*profile, material, we_are_client);
        session
            .map(Some)
            .map_err(|error| FailureReason::DtlsFailed(error.to_string()))
    }
}

impl WebRtcLeg {
    /// Takes a DTLS datagram, from addresses that have passed a check alone.
    pub(super) fn handle_dtls(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<Received, DropReason> {
        if !self.ice.knows(path) {
            return Err(DropReason::Stranger);
        }
        if matches!(self.dtls, DtlsState::Idle) {
            if self
                .remote
                .as_ref()
                .is_some_and(|remote| remote.dtls_role == DtlsRole::Active)
            {
                // Our ClientHello is still to come: that is no answer to it.
                return Err(DropReason::NotReady);
            }
            let association = Association::new(now, &self.certificate, DtlsRole::Passive);
            self.dtls = DtlsState::Handshaking(Handshake::new(association, path));
        }
        let mut outputs = Vec::new();
        let handled = match &mut self.dtls {
            DtlsState::Handshaking(handshake) => {
                handshake.path = path;
                handshake.association.handle_datagram(now, datagram, &mut outputs)
            }
            DtlsState::Up(Some(association)) => association.handle_datagram(now, datagram, &mut outputs),
            DtlsState::Up(None) => return Err(DropReason::NotReady),
            DtlsState::Idle | DtlsState::Over => return Err(DropReason::Closed),
        };
        self.take_dtls(now, outputs, handled);
        Ok(Received::Handled)
    }

    /// Starts our handshake if it is our turn, and finishes one that only waited for the peer's parameters.
    pub(super) fn advance_dtls(&mut self, now: Instant) {
        let (Some(remote), Some(path)) = (&self.remote, self.ice.selected_path()) else {
            return;
        };
        let role = remote.dtls_role;
        let is_other_role =
            |handshake: &Handshake| handshake.association.role() != role && !handshake.is_done;
        match &self.dtls {
            DtlsState::Idle => {}
            // The peer has begun before its SDP came, and then its SDP gave the first word to us.
            DtlsState::Handshaking(handshake) if is_other_role(handshake) => {}
            DtlsState::Handshaking(_) => return self.take_dtls(now, Vec::new(), Ok(())),
            DtlsState::Up(_) | DtlsState::Over => return,
        }
        let association = Association::new(now, &self.certificate, role);
        let mut handshake = Handshake::new(association, path);
        let mut outputs = Vec::new();
        let started = match role {
            DtlsRole::Active => handshake.association.handle_timeout(now, &mut outputs),
            DtlsRole::Passive => Ok(()),
        };
        self.dtls = DtlsState::Handshaking(handshake);
        self.take_dtls(now, outputs, started);
    }

    /// Runs DTLS timers that are due.
    pub(super) fn run_dtls_timers(&mut self, now: Instant) {
        let mut outputs = Vec::new();
        let ran = match &mut self.dtls {
            DtlsState::Handshaking(handshake) => {
                if handshake.deadline.is_some_and(|deadline| deadline <= now) {
                    return self.fail(FailureReason::DtlsTimeout {
                        waited: self.dtls_timeout,
                    });
                }
                run_timer(&mut handshake.association, now, &mut outputs)
            }
            DtlsState::Up(Some(association)) => run_timer(association, now, &mut outputs),
            DtlsState::Up(None) | DtlsState::Idle | DtlsState::Over => return,
        };
        self.take_dtls(now, outputs, ran);
    }

    /// Takes what an association has yielded.
    fn take_dtls(&mut self, now: Instant, outputs: Vec<DtlsOutput>, result: Result<(), dimpl::Error>) {
        let outputs = self.send_flight(outputs);
        if let DtlsState::Handshaking(handshake) = &mut self.dtls {
            if self.remote.is_some() && self.ice.selected_path().is_some() {
                handshake.deadline.get_or_insert(now + self.dtls_timeout);
            }
            let mut is_closed = false;
            for output in outputs {
                match output {
                    DtlsOutput::PeerCertificate(der) => handshake.certificate = Some(der),
                    DtlsOutput::Keys(profile, material) => handshake.keys = Some((profile, material)),
                    DtlsOutput::Connected => handshake.is_done = true,
                    DtlsOutput::Closed => is_closed = true,
                    DtlsOutput::Datagram(_) => {}
                }
            }
            if is_closed {
                return self.remote_closed();
            }
            match result {
                Ok(()) => self.finish_handshake(),
                Err(error) => self.fail(FailureReason::DtlsFailed(error.to_string())),
            }
        } else if outputs.iter().any(|output| matches!(output, DtlsOutput::Closed)) {
            self.remote_closed();
        } else if let (Err(error), DtlsState::Up(association)) = (result, &mut self.dtls) {
            // Media has its own keys and goes on; what is lost is the peer's close_notify.
            tracing::debug!(%error, "the DTLS association of a connected leg has ended");
            *association = None;
        }
    }

    fn finish_handshake(&mut self) {
        let (DtlsState::Handshaking(handshake), Some(remote)) = (&mut self.dtls, &self.remote) else {
            return;
        };
        match handshake.try_finish(remote) {
            Ok(None) => {}
            Err(reason) => self.fail(reason),
            Ok(Some(session)) => {
                let profile = session.profile();
                self.srtp = Some(Box::new(session));
                if let DtlsState::Handshaking(handshake) = std::mem::replace(&mut self.dtls, DtlsState::Over)
                {
                    self.dtls = DtlsState::Up(Some(handshake.association));
                }
                self.emit(LegEvent::DtlsConnected { profile });
            }
        }
    }

    fn remote_closed(&mut self) {
        self.end();
        self.emit(LegEvent::RemoteClosed);
    }

    /// Queues the datagrams among the outputs and returns the others.
    pub(super) fn send_flight(&mut self, outputs: Vec<DtlsOutput>) -> Vec<DtlsOutput> {
        let fallback = match &self.dtls {
            DtlsState::Handshaking(handshake) => Some(handshake.path),
            _ => None,
        };
        let path = self.ice.selected_path().or(fallback);
        let mut others = Vec::new();
        for output in outputs {
            match (output, path) {
                (DtlsOutput::Datagram(bytes), Some(path)) => self.transmit(path, bytes),
                (DtlsOutput::Datagram(_), None) => {}
                (other, _) => others.push(other),
            }
        }
        others
    }
}

fn run_timer(
    association: &mut Association,
    now: Instant,
    outputs: &mut Vec<DtlsOutput>,
) -> Result<(), dimpl::Error> {
    match association.poll_timeout() {
        Some(due) if due <= now => association.handle_timeout(now, outputs),
        _ => Ok(()),
    }
}
