//! Parts that are lost, and nodes that leave in order and come back.

use super::Game;
use super::deeds::pick;
use crate::SESSION_EXPIRES;
use crate::action::Action;
use crate::actor::CallView;
use offhook_media_control::LegName;
use std::time::Duration;

/// How long a VSP that leaves lets its calls go on, and a proxy what it has begun.
const DRAIN: Duration = Duration::from_secs(20);
/// How long a carrier is dead: all sessions have expired by then, with what SIP needs to find that out (64 × T1).
const DEAD: Duration = SESSION_EXPIRES.saturating_add(Duration::from_secs(60));

impl Game {
    /// One media session is lost.
    pub(super) fn lose_media(&mut self, action: &Action) -> Option<()> {
        let (client, call) = pick(&self.at_clients(CallView::is_active), action.who)?.clone();
        let tag = self.tag(client, &call);
        let from = match self.world.client(client).has_placed(&call) {
            true => LegName::Client,
            false => LegName::Carrier,
        };
        self.world.lose_media_of(&tag, from);
        self.model.media_lost(client, &tag);
        Some(())
    }

    /// The gateway dies, or only the link to it breaks.
    pub(super) fn lose_gateway(&mut self, action: &Action) -> Option<()> {
        match action.which.is_multiple_of(2) {
            true => {
                self.world.kill_gateway();
                self.model.digits.clear();
            }
            false => self.world.cut_control_link(),
        }
        self.model.gateway_lost();
        self.world.run_for(Duration::from_secs(1));
        self.world.revive_gateway();
        Some(())
    }

    /// A carrier dies, and comes back without its calls after everybody has found out.
    pub(super) fn kill_carrier(&mut self, action: &Action) -> Option<()> {
        // Which of the two ends a call is then left open.
        if self.vsp_drains {
            return None;
        }
        let carrier = action.who as usize % 2;
        self.world.carrier(carrier).die();
        self.world.run_for(DEAD);
        self.world.carrier(carrier).revive();
        self.model.carrier_died(carrier);
        Some(())
    }

    /// A VSP leaves; the other one takes its place.
    pub(super) fn drain_vsp(&mut self) -> Option<()> {
        if self.vsp_drains {
            return None;
        }
        self.vsp_drains = true;
        self.world.drain_vsp(DRAIN);
        self.model.drain_vsp(DRAIN);
        Some(())
    }

    /// The proxy leaves: no new calls until it is back.
    pub(super) fn drain_proxy(&mut self) -> Option<()> {
        if self.proxy_drains_until.is_some() {
            return None;
        }
        self.proxy_drains_until = Some(self.world.elapsed() + DRAIN);
        self.world.drain_proxy();
        self.model.drain_proxy(true);
        Some(())
    }

    /// What has left is started anew.
    pub(super) fn bring_back(&mut self) {
        let now = self.world.elapsed();
        if self.vsp_drains && self.world.restart_vsp() {
            self.vsp_drains = false;
            self.model.vsp_is_back();
        }
        if self.proxy_drains_until.is_some_and(|until| until <= now) && self.world.restart_proxy() {
            self.proxy_drains_until = None;
            self.model.drain_proxy(false);
        }
    }
}
