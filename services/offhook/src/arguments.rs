//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// A self-hosted voice platform for the browser.
#[derive(Debug, Parser)]
#[command(name = "offhook", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) log: LogArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to log; wins over the configuration's `[log]`.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Log for people, or as one JSON object per line.
    #[arg(long, global = true, value_enum)]
    pub(crate) log_format: Option<LogFormatArgument>,
    /// What to log: a level, or target=level pairs such as `info,offhook_sip=debug`.
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormatArgument {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the roles that FILE names; without FILE everything on this machine, with demo users and a demo carrier.
    Up {
        /// Configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Take ports that are free in place of the usual ones; those for the browser are printed.
        #[arg(long, conflicts_with = "config")]
        free_ports: bool,
    },
    /// Run the Voice SDK Proxy alone: WebSocket sessions of clients, and the SIP dialogs of their calls.
    Vsp(ConfigFile),
    /// Run the SIP proxy alone: numbers, routes, carriers, failover.
    SipProxy(ConfigFile),
    /// Run the media gateway alone: WebRTC on one side, RTP on the other.
    B2buaRtc(ConfigFile),
    /// Run geo-DNS alone: one host name, answered with the address of the nearest site that serves.
    GeoDns(ConfigFile),
    /// Say what is wrong with a configuration, where, and how to mend it.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Also ask the carriers whether they answer, and the resolver for their names.
        #[arg(long)]
        probe: bool,
    },
    /// Print a login token (JWT) for a user, signed with the first key of `auth.jwt` that can sign.
    Token {
        #[command(flatten)]
        file: ConfigFile,
        /// The user that the token is for.
        #[arg(long, value_name = "NAME")]
        user: String,
        /// How long it is valid: seconds, or with a unit (s, m, h, d).
        #[arg(long, default_value = "24h", value_parser = parse_duration)]
        ttl: Duration,
        /// Private key (PEM) to sign with, where the configuration names only the public one.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Make a pair of keys for login tokens: `token-private.pem` and `token-public.pem`.
    Keygen {
        /// Signature algorithm.
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::EdDsa)]
        alg: KeyAlgorithm,
        /// Folder to write to.
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        out: PathBuf,
    },
    /// List the clients that are logged in at a running VSP, with their calls.
    Sessions {
        #[command(flatten)]
        admin: AdminArguments,
        /// Only those of this user.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Print the JSON of the admin port.
        #[arg(long)]
        json: bool,
    },
    /// Evict clients from a running VSP: their calls end, and they stay away until their application connects anew.
    Punt {
        #[command(flatten)]
        admin: AdminArguments,
        /// The client, by the id that `offhook sessions` shows.
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        session: Option<String>,
        /// All clients of this user.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Read a password from standard input and print the hash for `password_hash`.
    HashPassword,
}

/// The configuration that a command needs.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Where the running process is asked.
#[derive(Debug, Args)]
pub(crate) struct AdminArguments {
    /// Configuration of the process, for address and token of its admin port; without it 127.0.0.1:9090.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    #[value(name = "EdDSA")]
    EdDsa,
    #[value(name = "ES256")]
    Es256,
}

/// `90`, `90s`, `15m`, `24h`, `7d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        unit => return Err(format!("{unit:?} is no unit of time; use s, m, h or d")),
    };
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(factor));
    seconds
        .filter(|s| *s > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| "give a time such as 24h or 900s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        for bad in [
            "",
            "0",
            "h",
            "1y",
            "-1h",
            "99999999999999999999d",
            "18446744073709551615d",
            "1ü",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
