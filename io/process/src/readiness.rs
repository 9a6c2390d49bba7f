//! Whether each role of the process can serve, and on which addresses.

use serde::Serialize;
use std::{net::SocketAddr, time::Duration};
use tokio::sync::watch;

/// The roles of a process with their state; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    roles: watch::Sender<Vec<RoleStatus>>,
}

/// A role as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleStatus {
    /// `vsp`, `sip-proxy`, `b2bua-rtc`, …
    pub role: &'static str,
    /// How far it is.
    #[serde(flatten)]
    pub state: RoleState,
    /// Sockets that it has bound, known from its first [`RoleReadiness::ready`] on.
    pub addresses: Vec<BoundAddress>,
}

/// How far a role is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum RoleState {
    /// Not there yet; says what it is waiting for.
    Starting(String),
    /// Serves.
    Ready,
    /// Runs but cannot serve; says why.
    NotReady(String),
    /// Takes no new calls.
    Draining,
    /// Has returned.
    Stopped,
}

/// One socket of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundAddress {
    /// What it is for: `http`, `sip-udp`, `webrtc`, `control`, …
    pub name: &'static str,
    /// Where it is, with the port that the system chose if 0 was asked.
    pub address: SocketAddr,
}

/// A role's own handle. Dropping it says [`RoleState::Stopped`].
#[derive(Debug)]
pub struct RoleReadiness {
    roles: watch::Sender<Vec<RoleStatus>>,
    role: &'static str,
}

impl Readiness {
    /// Adds a role, as [`RoleState::Starting`]. A role of the same name is replaced.
    pub fn register(&self, role: &'static str) -> RoleReadiness {
        let status = RoleStatus {
            role,
            state: RoleState::Starting("starting".to_owned()),
            addresses: Vec::new(),
        };
        self.roles.send_modify(|roles| {
            roles.retain(|other| other.role != role);
            roles.push(status);
        });
        RoleReadiness {
            roles: self.roles.clone(),
            role,
        }
    }

    /// All roles now.
    pub fn roles(&self) -> Vec<RoleStatus> {
        self.roles.borrow().clone()
    }

    /// True if there is a role and all of them are ready.
    pub fn is_ready(&self) -> bool {
        all_ready(&self.roles.borrow())
    }

    /// The address that `role` bound under `name`.
    pub fn address(&self, role: &str, name: &str) -> Option<SocketAddr> {
        let roles = self.roles.borrow();
        let status = roles.iter().find(|status| status.role == role)?;
        status
            .addresses
            .iter()
            .find(|bound| bound.name == name)
            .map(|bound| bound.address)
    }

    /// Waits until the roles in `names` are all ready; false if that takes longer than `limit`.
    pub async fn wait_for(&self, names: &[&str], limit: Duration) -> bool {
        let mut receiver = self.roles.subscribe();
        let ready = receiver.wait_for(|roles| {
            names.iter().all(|name| {
                roles
                    .iter()
                    .any(|status| status.role == *name && status.state == RoleState::Ready)
            })
        });
        matches!(tokio::time::timeout(limit, ready).await, Ok(Ok(_)))
    }
}

impl RoleReadiness {
    /// The role serves, on these addresses.
    pub fn ready(&self, addresses: impl IntoIterator<Item = (&'static str, SocketAddr)>) {
        let addresses = addresses
            .into_iter()
            .map(|(name, address)| BoundAddress { name, address })
            .collect::<Vec<_>>();
        self.modify(|status| {
            status.state = RoleState::Ready;
            status.addresses = addresses;
        });
    }

    /// The role is in another state; its addresses stay as they were.
    pub fn set(&self, state: RoleState) {
        self.modify(|status| status.state = state);
    }

    fn modify(&self, change: impl FnOnce(&mut RoleStatus)) {
        self.roles.send_modify(|roles| {
            if let Some(status) = roles.iter_mut().find(|status| status.role == self.role) {
                change(status);
            }
        });
    }
}

impl Drop for RoleReadiness {
    fn drop(&mut self) {
        self.set(RoleState::Stopped);
    }
}

fn all_ready(roles: &[RoleStatus]) -> bool {
    !roles.is_empty() && roles.iter().all(|status| status.state == RoleState::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_means_all_roles() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "a process without roles serves nothing");
        let vsp = readiness.register("vsp");
        let proxy = readiness.register("sip-proxy");
        vsp.ready([("http", "127.0.0.1:8080".parse().unwrap())]);
        assert!(!readiness.is_ready());
        assert!(!readiness.wait_for(&["vsp", "sip-proxy"], Duration::ZERO).await);
        proxy.ready([]);
        assert!(readiness.wait_for(&["vsp", "sip-proxy"], Duration::ZERO).await);
        assert_eq!(
            readiness.address("vsp", "http"),
            Some("127.0.0.1:8080".parse().unwrap())
        );

        vsp.set(RoleState::NotReady("control link lost".to_owned()));
        assert!(!readiness.is_ready());
        assert!(readiness.address("vsp", "http").is_some());
        drop(vsp);
        assert_eq!(readiness.roles()[0].state, RoleState::Stopped);
    }
}
