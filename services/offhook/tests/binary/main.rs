//! The binary from outside: what it prints, what it refuses, how it starts and leaves.
#![cfg(test)]

mod command_line;
mod example;
mod process;
mod support;
