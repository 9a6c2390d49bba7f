//! The commands.

mod carrier;
mod figures;
mod idle;
mod leg;
mod mixed;
mod phone;
mod platform;
mod setup;

use crate::What;
use std::path::Path;
use std::time::Duration;

/// Why a measurement says nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A file, socket or process.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: std::io::Error,
    },
    /// A WebSocket.
    #[error("WebSocket: {0}")]
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
    /// Something else came than what had to.
    #[error("{0}")]
    Unexpected(String),
    /// Nothing came.
    #[error("{what} did not come within {} s", wait.as_secs())]
    Missing {
        /// What.
        what: String,
        /// How long it was waited for.
        wait: Duration,
    },
}

impl LoadError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| LoadError::Io { what, source }
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for LoadError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        LoadError::WebSocket(Box::new(error))
    }
}

/// Runs one command to its end.
pub(crate) fn run(offhook: &Path, what: What) -> Result<(), LoadError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(LoadError::io("starting the runtime"))?;
    runtime.block_on(async {
        match what {
            What::Idle {
                sessions,
                login,
                beside_kamailio,
            } => idle::idle(offhook, sessions, login, beside_kamailio).await,
            What::Storm {
                sessions,
                login,
                per_user,
            } => idle::storm(offhook, sessions, login, per_user).await,
            What::Invite { rate, seconds } => {
                setup::invite(offhook, rate, Duration::from_secs(seconds)).await
            }
            What::Answer { calls, late } => setup::answer(offhook, calls, !late).await,
            What::Calls { calls, opus } => setup::memory_per_call(offhook, calls, opus).await,
            What::Mixed { calls, minutes } => {
                mixed::mixed(offhook, calls, Duration::from_secs_f64(minutes * 60.0)).await
            }
        }
    })
}
