//! Log lines on standard error: for people, or JSON for machines.

use serde::Deserialize;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, util::TryInitError};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line, coloured on a terminal.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "the log filter {filter:?} cannot be read ({source}); use a level such as info, or target=level pairs"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is a logger already.
    #[error("logging is set up already: {0}")]
    Taken(#[from] TryInitError),
}

/// Starts logging for the whole process. `filter` is a level (`info`) or `target=level` pairs as in `RUST_LOG`
/// (`info,offhook_sip=debug`).
pub fn init(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let parsed = EnvFilter::try_new(filter).map_err(|source| LoggingError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let lines = fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Human => lines
            .with_ansi(std::io::stderr().is_terminal())
            .finish()
            .try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Whether [`init`] would take this filter.
pub fn check(filter: &str) -> Result<(), ParseError> {
    EnvFilter::try_new(filter).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_explained() {
        let error = init(LogFormat::Json, "offhook=loud").unwrap_err();
        assert!(error.to_string().contains("offhook=loud"), "{error}");
    }
}
