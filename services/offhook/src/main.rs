//! The offhook binary: roles, configuration, command line.

mod admin_client;
mod arguments;
mod check;
mod config;
mod demo;
mod fleet;
mod hash_password;
mod keygen;
mod page;
mod ports;
mod probe;
mod roles;
mod run;
mod serve;
mod sessions;
mod token;

use clap::Parser;
use std::{
    io::{self, Write},
    process::ExitCode,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run::run(arguments::Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // If standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "offhook: {error}");
            ExitCode::FAILURE
        }
    }
}
