//! Nodes that die, leave in order, and come back.

use super::{Parcel, World};
use crate::actor::Gateway;
use crate::scene::{self, VSPS};
use offhook_media_control::LegName;
use offhook_sip_proxy::proxy::Proxy;
use offhook_vsp::Server;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

impl World {
    /// The gateway dies: its sessions are gone, commands go unheard.
    pub fn kill_gateway(&mut self) {
        self.gateway = Gateway::default();
        self.cut_control_link();
    }

    /// The link to the gateway breaks; its sessions wait for the VSPs to come back.
    pub fn cut_control_link(&mut self) {
        self.gateway_is_up = false;
        for vsp in &mut self.vsps {
            vsp.handle_link_down(self.now);
        }
        self.settle();
    }

    /// The gateway can be reached again.
    pub fn revive_gateway(&mut self) {
        self.gateway_is_up = true;
        for vsp in &mut self.vsps {
            vsp.handle_link_up();
        }
        self.settle();
    }

    /// The gateway loses one of its sessions.
    pub fn lose_media(&mut self) {
        if let Some((node, event)) = self.gateway.lose_one() {
            self.network.send_reliably(self.now, Parcel::Event(node, event));
        }
        self.settle();
    }

    /// The gateway loses the session of one side of a call: of the client that placed it, or of one that was called.
    pub fn lose_media_of(&mut self, tag: &str, from: LegName) {
        if let Some((node, event)) = self.gateway.lose_session_of(tag, from) {
            self.network.send_reliably(self.now, Parcel::Event(node, event));
        }
        self.settle();
    }

    /// The VSP that takes new sockets, by index.
    pub fn front(&self) -> usize {
        self.front
    }

    /// The VSP in front leaves within this time; from now on the other one takes new sockets.
    pub fn drain_vsp(&mut self, bound: Duration) {
        let node = self.front;
        self.front = 1 - node;
        self.vsps[node].handle_drain(self.now, self.now + bound);
        self.settle();
    }

    /// Starts the VSP anew that is not in front, if it has left.
    pub fn restart_vsp(&mut self) -> bool {
        let node = 1 - self.front;
        let has_left = self.vsps[node].is_empty();
        if has_left {
            let rng = StdRng::from_rng(&mut self.rng);
            self.vsps[node] = Server::new(scene::vsp(VSPS[node]), rng);
        }
        has_left
    }

    /// The proxy takes no new calls.
    pub fn drain_proxy(&mut self) {
        self.proxy.drain();
    }

    /// Starts the proxy anew, unless it still waits for an answer. Calls that are up go on.
    pub fn restart_proxy(&mut self) -> bool {
        let has_left = self.proxy.counts().unanswered == 0;
        if has_left {
            self.proxy = Proxy::new(scene::proxy(), StdRng::from_rng(&mut self.rng));
        }
        has_left
    }
}
