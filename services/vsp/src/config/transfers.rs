//! `transfers` of `[vsp]`: who may connect whom with whom.

use crate::settings::{FarTransfers, TransferSettings};
use offhook_process::Problem;
use serde::Deserialize;
use std::time::Duration;

/// `transfers` of `[vsp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransfersConfig {
    /// Whether two far parties are connected here, over this node's media, where the far end does not make a transfer that
    /// a client asks for. Default true.
    pub local: bool,
    /// How long they may then talk, seconds: no client is left that could hang up. Default 14400.
    pub connected_max_s: u32,
    /// Where a far end may send a client by REFER: `off`, `users` (our users and their numbers) or `any` (wherever the user
    /// could call, at the user's expense). Default `off`.
    pub from_far_end: FarTransfersConfig,
}

/// Values of `from_far_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FarTransfersConfig {
    /// Nowhere.
    #[default]
    Off,
    /// To our users and their numbers.
    Users,
    /// Wherever the user could call.
    Any,
}

impl Default for TransfersConfig {
    fn default() -> Self {
        Self {
            local: true,
            connected_max_s: 14_400,
            from_far_end: FarTransfersConfig::Off,
        }
    }
}

impl TransfersConfig {
    /// The core's settings.
    pub(super) fn settings(&self) -> TransferSettings {
        TransferSettings {
            local: self.local,
            connected_max: Duration::from_secs(self.connected_max_s.into()),
            from_far_end: match self.from_far_end {
                FarTransfersConfig::Off => FarTransfers::Off,
                FarTransfersConfig::Users => FarTransfers::Users,
                FarTransfersConfig::Any => FarTransfers::Any,
            },
        }
    }

    pub(super) fn check(&self) -> Vec<Problem> {
        if self.connected_max_s > 0 {
            return Vec::new();
        }
        vec![Problem::error(
            "connected_max_s",
            "transferred calls would end at once",
            "Give some hours, or set local = false",
        )]
    }
}
