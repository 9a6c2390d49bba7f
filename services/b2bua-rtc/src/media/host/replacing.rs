//! Ports and routes of a leg that takes the place of another.

use super::routes::refused;
use super::{Host, RouteNotice};
use crate::media::io::Io;
use offhook_media_control::{CommandError, CommandErrorKind, LegName, Reply};
use std::time::Instant;

impl Host {
    pub(super) fn prepare_replacement(
        &mut self,
        now: Instant,
        key: usize,
        leg: LegName,
        ringback: bool,
        io: &mut Io,
    ) -> Result<Reply, CommandError> {
        let port = self
            .take_port(now, io)
            .ok_or_else(|| refused(CommandErrorKind::Busy, "no RTP port is left"))?;
        let hosted = &mut self.sessions[key];
        let reply = hosted
            .session
            .prepare_replacement(now, leg, ringback, port, &mut self.rng);
        match &reply {
            Ok(_) => hosted.spare = Some(port),
            Err(_) => self.free_ports(now, [Some(port)], io),
        }
        reply
    }

    pub(super) fn replace(
        &mut self,
        now: Instant,
        key: usize,
        leg: LegName,
        sdp: &str,
        io: &mut Io,
    ) -> Result<Reply, CommandError> {
        let hosted = &mut self.sessions[key];
        let reply = hosted.session.replace(now, leg, sdp, &mut self.outbox)?;
        let new = hosted.spare.take();
        let place = &mut hosted.ports[match leg {
            LegName::Client => 0,
            LegName::Carrier => 1,
        }];
        let old = std::mem::replace(place, new);
        if !hosted.session.has_webrtc() {
            for ufrag in hosted.session.take_ufrags() {
                self.by_ufrag.remove(&ufrag);
                self.notices.push(RouteNotice::Ufrag { ufrag, mine: false });
            }
        }
        self.route_port(new, key, leg);
        // The old leg's goodbye goes out before its socket closes.
        io.send(&mut self.outbox);
        self.free_ports(now, [old], io);
        Ok(reply)
    }

    pub(super) fn drop_replacement(&mut self, now: Instant, key: usize, io: &mut Io) -> Reply {
        let hosted = &mut self.sessions[key];
        let spare = hosted.spare.take();
        let reply = hosted.session.drop_replacement(now);
        self.free_ports(now, [spare], io);
        reply
    }
}
