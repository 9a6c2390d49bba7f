//! Measures a real Offhook with real sockets: idle sessions, login storms, set-up of calls, hours of mixed calls.
//!
//! Each command starts the binary that `--offhook` names, with a configuration of its own on free ports, and prints what it
//! found as `key=value` lines. It fails when calls or logins fail, never because a machine is slow. See docs/benchmarks.md.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod run;

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "offhook-load", about)]
struct Arguments {
    /// The binary to measure; a release build.
    #[arg(long, global = true, default_value = "target/release/offhook")]
    offhook: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Memory of idle TLS WebSocket sessions.
    Idle {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        sessions: usize,
        /// How they log in.
        #[arg(long, value_enum, default_value_t = Login::Token)]
        login: Login,
        /// Measure Kamailio's websocket module over TLS with as many registered phones as well.
        #[arg(long)]
        beside_kamailio: bool,
    },
    /// All clients come at once, as after a restart.
    Storm {
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        sessions: usize,
        /// How they log in.
        #[arg(long, value_enum, default_value_t = Login::Token)]
        login: Login,
        /// Clients of each user.
        #[arg(long, default_value_t = 1)]
        per_user: usize,
    },
    /// From a client's invite to the INVITE at the carrier.
    Invite {
        /// Calls per second.
        #[arg(long, default_value_t = 50)]
        rate: u32,
        /// For so long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// From the carrier's 200 OK to the first audio packet at the browser.
    Answer {
        /// Calls, one after another.
        #[arg(long, default_value_t = 100)]
        calls: usize,
        /// Do without the early SDP answer.
        #[arg(long)]
        late: bool,
    },
    /// Memory of calls that are up, with media, over all roles.
    Calls {
        /// How many.
        #[arg(long, default_value_t = 200)]
        calls: usize,
        /// Opus on the browser's side, which is transcoded.
        #[arg(long)]
        opus: bool,
    },
    /// Calls of all kinds: out and in, held, digits, reconnecting, hung up by either side, with media.
    Mixed {
        /// At once.
        #[arg(long, default_value_t = 20)]
        calls: usize,
        /// For so long.
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
    },
}

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Login {
    /// A JWT signed with Ed25519.
    Token,
    /// A password that stands in the configuration.
    Password,
    /// A password of which the configuration has the Argon2 hash.
    Hash,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run::run(&arguments.offhook, arguments.what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offhook-load: {error}");
            ExitCode::FAILURE
        }
    }
}
