//! The offhook binary: roles, configuration, command line.

mod arguments;
mod fleet;
mod hash_password;
mod keygen;
mod page;
mod probe;
mod token;
fn main() {}
